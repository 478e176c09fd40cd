//! An answer on its way to a client.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::Failure;
use super::answer::{self, Answer, Asked, LARGEST_HEAD, Read, Rest};
use super::buffer::{Outbox, poll_read};
use super::client::Client;
use super::worker::Worker;

/// The end of a line after a chunk.
const END: &[u8] = b"\r\n";

/// What was read of an answer and not yet written, and what is still to come.
#[derive(Debug)]
pub(super) struct Download {
    out: Outbox,
    rest: Rest,
    /// Bytes of content so far.
    pub(super) bytes: u64,
    /// Whether the instance sent more than its answer.
    surplus: bool,
    /// Whether something was written that may still be held by the client's stream.
    unflushed: bool,
    /// Since when the client takes nothing, or the instance sends nothing.
    waiting: Option<Instant>,
}

/// What comes of reading the head of an answer.
#[derive(Debug)]
pub(super) enum HeadRead {
    Whole {
        status: u16,
        keeps: bool,
    },
    Malformed,
    /// The connection ended before.
    Closed(io::Error),
}

impl Download {
    pub(super) fn new(worker: &Worker) -> Self {
        let out = Outbox::of(worker.buffers.text());
        Self { out, rest: Rest::Nothing, bytes: 0, surplus: false, unflushed: false, waiting: None }
    }

    /// Reads the head of the answer, and what comes with it.
    pub(super) fn poll_head(
        &mut self,
        worker: &Worker,
        instance: &mut TcpStream,
        asked: &Asked<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<HeadRead> {
        loop {
            if self.out.body.is_none() {
                self.out.body = worker.buffers.large();
            }
            self.out.body.widen();
            match poll_read(instance, self.out.body.room(), cx) {
                Poll::Ready(Ok(count @ 1..)) => self.out.body.grew(count),
                Poll::Ready(Ok(_)) => return Poll::Ready(HeadRead::Closed(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(HeadRead::Closed(error)),
                Poll::Pending => {
                    if self.out.body.is_empty() {
                        worker.buffers.give(&mut self.out.body);
                    }
                    return Poll::Pending;
                }
            }
            loop {
                match answer::read(self.out.body.filled(), asked, &mut self.out.front) {
                    Read::Whole(answer) => return Poll::Ready(self.begin(answer)),
                    Read::Malformed => return Poll::Ready(HeadRead::Malformed),
                    Read::Interim(length) => self.out.body.consume(length),
                    Read::Part if self.out.body.len() > LARGEST_HEAD => return Poll::Ready(HeadRead::Malformed),
                    Read::Part => break,
                }
            }
        }
    }

    fn begin(&mut self, answer: Answer) -> HeadRead {
        let Answer { status, length, rest, keeps } = answer;
        self.out.body.consume(length);
        self.rest = rest;
        self.came();
        HeadRead::Whole { status, keeps }
    }

    /// Makes of what was read what is written.
    fn came(&mut self) {
        let body = &mut self.out.body;
        let length = body.len() as u64;
        match &mut self.rest {
            Rest::Nothing | Rest::Broken => {
                self.surplus |= length > 0;
                body.truncate(0);
            }
            Rest::Length(left) => {
                let here = length.min(*left);
                self.surplus |= here < length;
                body.truncate(usize::try_from(here).unwrap_or(usize::MAX));
                self.bytes += here;
                *left -= here;
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunked(filter) => {
                let before = filter.data();
                let passed = filter.pass(body.filled_mut());
                self.surplus |= passed.read < body.len();
                body.truncate(passed.kept);
                self.bytes += filter.data() - before;
                if passed.malformed {
                    self.rest = Rest::Broken;
                } else if filter.is_done() {
                    self.out.back = filter.tail();
                    self.rest = Rest::Nothing;
                }
            }
            Rest::ToEnd => {
                self.bytes += length;
                if length > 0 {
                    // Writing to memory does not fail.
                    let _ = write!(self.out.front, "{length:x}\r\n");
                    self.out.back.extend_from_slice(END);
                }
            }
        }
        self.out.join();
    }

    /// Brings the answer to the client. Ready when it is there as a whole.
    pub(super) fn poll_relay<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut Client<S>,
        instance: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            match ready!(self.poll_send(client, cx)) {
                Ok(()) => {}
                Err(failure) => return Poll::Ready(Err(failure)),
            }
            match self.rest {
                Rest::Nothing => return Poll::Ready(Ok(())),
                Rest::Broken => return Poll::Ready(Err(Failure::BrokenOff)),
                Rest::Length(_) | Rest::Chunked(_) | Rest::ToEnd => {}
            }
            ready!(self.poll_more(client, instance, cx));
        }
    }

    /// Writes what there is.
    fn poll_send<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut Client<S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let mut written = 0;
        let mut sent = self.out.poll_send(&mut client.stream, &mut written, cx);
        if written > 0 {
            (self.waiting, self.unflushed) = (None, true);
        }
        if self.unflushed && matches!(sent, Poll::Ready(Ok(()))) {
            sent = Pin::new(&mut client.stream).poll_flush(cx);
            self.unflushed = sent.is_pending();
        }
        if sent.is_pending() {
            self.waiting.get_or_insert_with(Instant::now);
        }
        sent.map_err(|_| Failure::ClientClosed)
    }

    /// Reads more of the body.
    fn poll_more<S>(&mut self, client: &Client<S>, instance: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let buffers = &client.worker.buffers;
        if self.out.body.is_none() {
            self.out.body = buffers.large();
        }
        self.out.body.reset();
        // There is room for the end of a chunk.
        let room = self.out.body.room();
        let most = room.len().saturating_sub(END.len());
        match poll_read(instance, room.get_mut(..most).unwrap_or_default(), cx) {
            Poll::Ready(Ok(count @ 1..)) => {
                self.waiting = None;
                self.out.body.grew(count);
                self.came();
            }
            Poll::Ready(Ok(_)) if matches!(self.rest, Rest::ToEnd) => {
                self.out.front.extend_from_slice(b"0\r\n\r\n");
                self.rest = Rest::Nothing;
            }
            Poll::Ready(_) => self.rest = Rest::Broken,
            Poll::Pending => {
                buffers.give(&mut self.out.body);
                self.waiting.get_or_insert_with(Instant::now);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Until when something has to move, after a pause of at most `idle`.
    pub(super) fn deadline(&self, idle: Duration) -> Option<Instant> {
        Some(self.waiting? + idle)
    }

    /// Whether the client takes what there is.
    pub(super) fn is_flowing(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether nothing came after the answer.
    pub(super) fn ended_cleanly(&self) -> bool {
        !self.surplus && matches!(self.rest, Rest::Nothing)
    }

    pub(super) fn put_away(&mut self, worker: &Worker) {
        self.out.put_away(&worker.buffers);
    }
}
