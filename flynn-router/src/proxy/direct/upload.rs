//! A request on its way to an instance.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::Failure;
use super::super::body::BodyLimits;
use super::super::gate::Framing;
use super::buffer::{Buffer, Outbox, poll_read};
use super::chunked::ChunkFilter;
use super::client::Client;

/// A request, of which the head is written and the body still comes from the client.
#[derive(Debug)]
pub(super) struct Upload {
    rest: Rest,
    pub(super) out: Outbox,
    limits: BodyLimits,
    /// Bytes that were written to the instance.
    written: u64,
    received: u64,
    /// How long the router has waited for the client in all, and since when it does again.
    waited: Duration,
    waiting: Option<Instant>,
    /// When the body last moved.
    last: Option<Instant>,
    answered: bool,
    abandoned: bool,
}

#[derive(Debug)]
enum Rest {
    Nothing,
    Length(u64),
    Chunked(Box<ChunkFilter>),
}

/// Why a request cannot be sent to its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client's fault.
    Client(Failure),
    /// The instance takes no more.
    Instance(io::Error),
}

impl Upload {
    /// A request that begins with `head` and goes on with what is in `raw` and with what the client still sends.
    pub(super) fn begin(
        head: Vec<u8>,
        framing: Framing,
        announced: Vec<u8>,
        limits: BodyLimits,
        raw: &mut Buffer,
    ) -> Result<Self, Failure> {
        let rest = match framing {
            Framing::None => Rest::Nothing,
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(Box::new(ChunkFilter::new(false, announced))),
        };
        let out = Outbox::of(head);
        let (received, waited) = (0, Duration::ZERO);
        let mut upload = Self {
            rest,
            out,
            limits,
            written: 0,
            received,
            waited,
            waiting: None,
            last: None,
            answered: false,
            abandoned: false,
        };
        upload.take(raw)?;
        Ok(upload)
    }

    /// Takes what came together with the head.
    fn take(&mut self, raw: &mut Buffer) -> Result<(), Failure> {
        match &mut self.rest {
            Rest::Nothing => {}
            Rest::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(raw.len());
                self.out.front.extend_from_slice(raw.filled().get(..here).unwrap_or_default());
                raw.consume(here);
                self.received += here as u64;
                *left -= here as u64;
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunked(filter) => {
                let passed = filter.pass(raw.filled_mut());
                self.out.front.extend_from_slice(raw.filled().get(..passed.kept).unwrap_or_default());
                raw.consume(passed.read);
                self.out.front.extend(filter.tail());
                if passed.malformed {
                    return Err(MALFORMED);
                }
                self.received = filter.data();
                if filter.is_done() {
                    self.rest = Rest::Nothing;
                }
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), Failure> {
        match self.limits.most.is_some_and(|most| self.received > most) {
            true => Err(Failure::BodyTooLarge),
            false => Ok(()),
        }
    }

    /// Sends on as far as it goes. Ready when the request is sent to its end.
    pub(super) fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut Client<S>,
        instance: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        loop {
            let before = self.written;
            let sent = self.out.poll_send(instance, &mut self.written, cx);
            if self.written != before && self.received > 0 {
                self.last = Some(Instant::now());
            }
            match sent {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Stop::Instance(error))),
                Poll::Ready(Ok(())) => {}
            }
            let most = match &self.rest {
                Rest::Nothing => {
                    self.out.put_away(&client.worker.buffers);
                    return Poll::Ready(Ok(()));
                }
                Rest::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
                Rest::Chunked(_) => usize::MAX,
            };
            if self.out.body.is_none() {
                self.out.body = client.worker.buffers.large();
            }
            self.out.body.reset();
            let room = self.out.body.room();
            let most = most.min(room.len());
            match poll_read(&mut client.stream, room.get_mut(..most).unwrap_or_default(), cx) {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.out.body.grew(count);
                    self.waited += self.waiting.take().map(|since| since.elapsed()).unwrap_or_default();
                    if let Err(failure) = self.came(client) {
                        return Poll::Ready(Err(Stop::Client(failure)));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Err(Stop::Client(Failure::ClientClosed))),
                Poll::Pending => {
                    client.worker.buffers.give(&mut self.out.body);
                    self.waiting.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Makes of what was read what is sent.
    fn came<S: AsyncRead + AsyncWrite + Unpin>(&mut self, client: &mut Client<S>) -> Result<(), Failure> {
        let body = &mut self.out.body;
        match &mut self.rest {
            Rest::Nothing => {}
            Rest::Length(left) => {
                self.received += body.len() as u64;
                *left = left.saturating_sub(body.len() as u64);
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunked(filter) => {
                let passed = filter.pass(body.filled_mut());
                if passed.malformed {
                    return Err(MALFORMED);
                }
                // What follows the body belongs to the next request.
                let next = body.filled().get(passed.read..).unwrap_or_default();
                while !next.is_empty() && !client.raw.append(next) {
                    client.raw.grow();
                }
                body.truncate(passed.kept);
                self.received = filter.data();
                if filter.is_done() {
                    self.out.back = filter.tail();
                    self.rest = Rest::Nothing;
                    self.out.join();
                }
            }
        }
        self.check()
    }

    /// Nothing more is sent: the instance does not want it.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.waiting = None;
    }

    /// Whether the whole request was sent.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.rest, Rest::Nothing) && self.out.is_empty() && !self.abandoned
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Whether the instance got any of it.
    pub(super) fn has_begun(&self) -> bool {
        self.written > 0
    }

    /// Whether the client still has to send some of the body.
    pub(super) fn awaits_more(&self) -> bool {
        !matches!(self.rest, Rest::Nothing)
    }

    /// Whether the client still has to send all of the body.
    pub(super) fn awaits_body(&self) -> bool {
        self.received == 0 && !matches!(self.rest, Rest::Nothing)
    }

    /// The answer has begun: from here on the two may take turns, and how fast the body comes is theirs.
    pub(super) fn set_answered(&mut self) {
        self.answered = true;
    }

    /// Until when the client has to send on, if it is its turn.
    pub(super) fn client_deadline(&self) -> Option<Instant> {
        let pause = match self.answered {
            true => self.limits.idle,
            false => self.limits.pause(self.received, self.waited),
        };
        Some(self.waiting? + pause)
    }

    /// When it last moved, if it did after `began`.
    pub(super) fn last(&self, began: Instant) -> Instant {
        self.last.map_or(began, |last| last.max(began))
    }
}

const MALFORMED: Failure = Failure::BadRequest("a malformed chunk");
