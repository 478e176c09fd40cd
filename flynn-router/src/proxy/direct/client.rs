//! A client's connection between its requests.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep};

use super::super::body::poll_until;
use super::super::gate::{HURRIED, LINGER_BYTES, LINGER_TIME};
use super::super::handler::Ends;
use super::super::town::Resident;
use super::buffer::{Buffer, poll_read};
use super::worker::Worker;

/// A client's connection. While it waits for a request it holds no buffer.
pub(super) struct Client<S> {
    pub(super) stream: S,
    /// What was read and belongs to nothing yet.
    pub(super) raw: Buffer,
    pub(super) worker: Arc<Worker>,
    pub(super) ends: Ends,
    pub(super) resident: Resident,
    /// One timer for all that is waited for, set anew only when it has to end earlier.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// What comes of waiting for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A head of this length is at the beginning of what was read.
    Head(usize),
    /// Something that only the reference path can make sense of.
    Other,
    /// The client began a head and did not end it in time.
    Late,
    /// The client has gone, or has to go.
    Gone,
}

/// How long a client may wait, and how far it came.
struct Waiting {
    since: Instant,
    limit: Duration,
    began: Option<Instant>,
    /// How much is known not to hold the end of a head.
    searched: usize,
    /// Whether an empty line before the head was left out.
    skipped: bool,
    crowds: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) fn new(stream: S, worker: Arc<Worker>, ends: Ends) -> Self {
        let resident = worker.town.move_in();
        Self { stream, raw: Buffer::default(), worker, ends, resident, alarm: None }
    }

    /// Waits for a request, since `since` and at most for `limit` until it begins.
    pub(super) async fn arrival(&mut self, since: Instant, limit: Duration) -> Arrival {
        let crowds = self.worker.town.crowds();
        let mut waiting = Waiting { since, limit, began: None, searched: 0, skipped: false, crowds };
        poll_fn(|cx| self.poll_arrival(&mut waiting, cx)).await
    }

    fn poll_arrival(&mut self, waiting: &mut Waiting, cx: &mut Context<'_>) -> Poll<Arrival> {
        loop {
            if let Some(arrival) = self.find_end(waiting) {
                return Poll::Ready(arrival);
            }
            if self.raw.is_none() {
                self.raw = self.worker.buffers.small();
            }
            self.raw.widen();
            match poll_read(&mut self.stream, self.raw.room(), cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Arrival::Gone),
                Poll::Ready(Ok(count)) => self.raw.grew(count),
                Poll::Pending => break,
            }
        }
        if self.raw.is_empty() {
            self.worker.buffers.give(&mut self.raw);
        } else {
            waiting.began.get_or_insert_with(Instant::now);
        }
        self.resident.listen(cx);
        let town = self.resident.town();
        if town.is_stopping() {
            return Poll::Ready(Arrival::Gone);
        }
        let (since, limit) = match waiting.began {
            Some(began) => (began, self.worker.shared.settings.head_time),
            None => (waiting.since, waiting.limit),
        };
        let limit = if town.crowds() == waiting.crowds { limit } else { limit.min(HURRIED) };
        ready!(poll_until(&mut self.alarm, since + limit, cx));
        Poll::Ready(if waiting.began.is_some() { Arrival::Late } else { Arrival::Gone })
    }

    /// Whether a head is there, or something else that cannot become one.
    fn find_end(&mut self, waiting: &mut Waiting) -> Option<Arrival> {
        // One empty line before a request is forgiven (RFC 9112 §2.2).
        if !waiting.skipped && self.raw.filled().starts_with(b"\r\n") {
            self.raw.consume(2);
            waiting.skipped = true;
        }
        let raw = self.raw.filled();
        let limit = self.worker.shared.settings.head_bytes;
        let from = waiting.searched.saturating_sub(3);
        for at in memchr_iter(b'\n', raw.get(from..)?).map(|at| from + at) {
            match raw.get(at + 1..) {
                Some([b'\r', b'\n', ..]) if at + 3 <= limit => return Some(Arrival::Head(at + 3)),
                Some([b'\n', ..] | [b'\r', b'\n', ..]) => return Some(Arrival::Other),
                _ => {}
            }
        }
        waiting.searched = raw.len();
        (raw.len() > limit).then_some(Arrival::Other)
    }

    /// Ready when the client has gone. What it sends meanwhile is kept for later.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.raw.is_empty() {
            return Poll::Pending;
        }
        let mut first = [0; 256];
        let Ok(count @ 1..) = ready!(poll_read(&mut self.stream, &mut first, cx)) else { return Poll::Ready(()) };
        if self.raw.is_none() {
            self.raw = self.worker.buffers.small();
        }
        self.raw.append(first.get(..count).unwrap_or_default());
        Poll::Pending
    }

    /// Ready at `end`.
    pub(super) fn poll_late(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        poll_until(&mut self.alarm, end, cx)
    }

    /// Gives the buffer back if nothing is in it.
    pub(super) fn tidy(&mut self) {
        if self.raw.is_empty() {
            self.worker.buffers.give(&mut self.raw);
        }
    }

    /// Ends the connection, and reads on for a while: closing with unread bytes would reset it, which could
    /// destroy the answer on its way.
    pub(super) async fn linger(mut self) {
        self.worker.buffers.give(&mut self.raw);
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let (end, mut left) = (Instant::now() + LINGER_TIME, LINGER_BYTES);
        let mut sink = self.worker.buffers.small();
        poll_fn(|cx| {
            while left > 0 {
                sink.reset();
                match poll_read(&mut self.stream, sink.room(), cx) {
                    Poll::Ready(Ok(count @ 1..)) => left = left.saturating_sub(count),
                    Poll::Ready(_) => break,
                    Poll::Pending => return poll_until(&mut self.alarm, end, cx),
                }
            }
            Poll::Ready(())
        })
        .await;
        self.worker.buffers.give(&mut sink);
    }
}
