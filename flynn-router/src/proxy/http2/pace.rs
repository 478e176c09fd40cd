//! How fast a client takes what it asked for.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::super::Failure;
use super::super::body::{Patience, ResponseBody};
use super::super::link::Link;

/// Whether a stream waits for its client.
pub(super) struct Pace {
    link: Arc<Link>,
    /// Since when there is something that the client has not taken.
    waiting: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, waiting: Mutex::default() }
    }

    fn set(&self, waiting: Option<Instant>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// Ends when the client has taken nothing for as long as `limit`, and notes that as what went wrong.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let waiting = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let end = waiting.unwrap_or_else(Instant::now) + limit;
            if end <= Instant::now() {
                self.link.spoil(Failure::Stalled);
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// The body of an answer. The HTTP implementation asks for more of it once the client has room for more.
pub(super) struct PacedBody {
    inner: ResponseBody,
    pace: Arc<Pace>,
}

impl PacedBody {
    pub(super) fn new(inner: ResponseBody, pace: Arc<Pace>) -> Self {
        pace.set(Some(Instant::now()));
        Self { inner, pace }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.inner).poll_frame(cx);
        this.pace.set(frame.is_ready().then(Instant::now));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        // All of a short body may have been asked for, and none of it sent.
        if let Some(failure @ Failure::Stalled) = self.pace.link.spoiled() {
            self.inner.fail(failure);
        }
    }
}

/// A connection whose client has to take what is written to it within some time.
pub(super) struct PacedWrites<S> {
    inner: S,
    patience: Patience,
    blocked: bool,
}

impl<S> PacedWrites<S> {
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, patience: Patience::new(limit), blocked: false }
    }

    fn watch<T>(&mut self, done: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.blocked = false;
            return done;
        }
        if !std::mem::replace(&mut self.blocked, true) {
            self.patience.renew();
        }
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"));
        self.patience.poll_end(cx).map(|()| late())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedWrites<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedWrites<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.watch(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.watch(shut, cx)
    }
}
