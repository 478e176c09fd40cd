//! A body that comes in as it is read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{Stream, StreamExt, stream::Fuse};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The bytes of a body, at most so many and none that keeps its reader waiting for too long.
pub(super) struct Incoming {
    body: Fuse<BodyDataStream>,
    chunk: Bytes,
    room: u64,
    idle: Duration,
    patience: Pin<Box<Sleep>>,
    trouble: Arc<AtomicU8>,
}

/// What went wrong while a body came in. A reader of an archive may take it for a fault of the archive.
pub(super) struct Trouble(Arc<AtomicU8>);

const TOO_LARGE: u8 = 1;
const STALLED: u8 = 2;
const BROKEN: u8 = 3;

impl Trouble {
    pub(super) fn is_too_large(&self) -> bool {
        self.0.load(Ordering::Acquire) == TOO_LARGE
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.0.load(Ordering::Acquire) == STALLED
    }

    pub(super) fn is_broken(&self) -> bool {
        self.0.load(Ordering::Acquire) == BROKEN
    }
}

impl Incoming {
    pub(super) fn new(body: Body, limit: u64, idle: Duration) -> (Self, Trouble) {
        let trouble = Arc::new(AtomicU8::new(0));
        let incoming = Self {
            body: body.into_data_stream().fuse(),
            chunk: Bytes::new(),
            room: limit,
            idle,
            patience: Box::pin(sleep(idle)),
            trouble: trouble.clone(),
        };
        (incoming, Trouble(trouble))
    }

    fn fail(&self, trouble: u8, error: io::Error) -> Poll<io::Result<()>> {
        self.trouble.store(trouble, Ordering::Release);
        Poll::Ready(Err(error))
    }
}

impl AsyncRead for Incoming {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() {
            let Poll::Ready(next) = Pin::new(&mut self.body).poll_next(context) else {
                ready!(self.patience.as_mut().poll(context));
                return self.fail(STALLED, io::Error::from(io::ErrorKind::TimedOut));
            };
            let idle = self.idle;
            self.patience.as_mut().reset(Instant::now() + idle);
            match next {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return self.fail(BROKEN, io::Error::other(error)),
                Some(Ok(chunk)) => match self.room.checked_sub(chunk.len() as u64) {
                    Some(room) => (self.room, self.chunk) = (room, chunk),
                    None => return self.fail(TOO_LARGE, io::Error::other("the body is too large")),
                },
            }
        }
        let length = self.chunk.len().min(into.remaining());
        into.put_slice(&self.chunk.split_to(length));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tokio::io::AsyncReadExt;

    use super::*;

    fn of(chunks: &[&'static str]) -> Body {
        let chunks: Vec<io::Result<&'static str>> = chunks.iter().map(|chunk| Ok(*chunk)).collect();
        Body::from_stream(stream::iter(chunks))
    }

    async fn read(body: Body, limit: u64) -> (io::Result<String>, Trouble) {
        let (mut incoming, trouble) = Incoming::new(body, limit, Duration::from_secs(5));
        let mut text = String::new();
        (incoming.read_to_string(&mut text).await.map(|_| text), trouble)
    }

    #[tokio::test]
    async fn a_body_is_read_to_its_end_and_not_beyond_its_limit() {
        let (text, _) = read(of(&["ab", "", "cde"]), 5).await;
        assert_eq!(text.unwrap(), "abcde");
        let (text, trouble) = read(of(&["ab", "cde"]), 4).await;
        assert!(text.is_err() && trouble.is_too_large() && !trouble.is_broken());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up() {
        let first = stream::iter([Ok::<_, io::Error>("ab")]);
        let (text, trouble) = read(Body::from_stream(first.chain(stream::pending())), 100).await;
        assert!(text.is_err() && trouble.is_stalled());
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_whole() {
        let broken = stream::iter([Ok("ab"), Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
        let (text, trouble) = read(Body::from_stream(broken), 100).await;
        assert!(text.is_err() && trouble.is_broken());
    }
}
