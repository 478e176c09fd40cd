//! The time that a head may take, from its first byte on. The server has one clock for that and for a connection on
//! which nothing is asked, which may be open for longer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, StatusCode};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How many heads were completed on a connection and how many answers to them were sent, together. It is odd in the
/// middle of an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Heads(Arc<AtomicU64>);

impl Heads {
    /// A head is complete. Until the answer to it was sent nothing is expected.
    pub(super) fn complete(&self) -> Answering {
        self.0.fetch_add(1, Ordering::AcqRel);
        Answering(Some(self.clone()))
    }

    /// The number of the head that is expected; none in the middle of an answer.
    fn expected(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Acquire)).filter(|count| count % 2 == 0)
    }
}

/// An answer that is not sent yet.
#[derive(Debug)]
pub(super) struct Answering(Option<Heads>);

impl Answering {
    /// The same answer, after which the next head may come. After an upgrade none does.
    pub(super) fn until_sent(mut self, answer: Response<Body>) -> Response<Sent> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.0 = None;
        }
        answer.map(|body| Sent { body, _answering: self })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(heads) = self.0.take() {
            heads.0.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Sent {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection on which a head that was begun must end in time.
pub(super) struct Watched<S> {
    stream: S,
    heads: Heads,
    limit: Duration,
    /// The head that was begun, and its end at the latest.
    begun: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, heads: Heads, limit: Duration) -> Self {
        Self { stream, heads, limit, begun: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let expected = this.heads.expected();
        this.begun = this.begun.take().filter(|(begun, _)| Some(*begun) == expected);
        let Some(expected) = expected else { return read };
        let is_more = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() > before;
        if is_more && this.begun.is_none() {
            this.begun = Some((expected, Box::pin(sleep(this.limit))));
        }
        if let Some((_, end)) = &mut this.begun
            && end.as_mut().poll(context).is_ready()
        {
            let problem = "the head of a request took too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, problem)));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
