//! The gate between a client's socket and the HTTP implementation.
//!
//! It lets bytes through only as parts of requests that keep to a strict grammar, so that the router and the
//! instance behind it cannot disagree on where a request ends. It also watches over the time that a client
//! takes for a head and for reading its answers.

mod chunks;
mod head;

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Failure;
use super::link::{Link, NextProtocol};
pub(super) use chunks::Chunks;
pub(crate) use head::HeadLimits;
pub(super) use head::{Framing, LONGEST_BODY, judge};

/// What the HTTP implementation gets to read in place of a request that is refused: it asks for an answer,
/// and the handler knows which.
const IN_PLACE: &[u8] = b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
const READ_AT_ONCE: usize = 16 << 10;
/// How much more a client may send, and for how long, once its connection is being closed. Closing with
/// unread bytes would reset the connection and could destroy the answer on its way.
pub(crate) const LINGER_TIME: Duration = Duration::from_secs(1);
pub(crate) const LINGER_BYTES: usize = 1 << 20;
/// How long a client may keep the router waiting for a head while others wait for its place.
pub(crate) const HURRIED: Duration = Duration::from_secs(1);

/// The times and sizes that the gate enforces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GateSettings {
    pub(crate) limits: HeadLimits,
    /// From the first byte of a head, or from the connection before the first head, to its last.
    pub(crate) head: Duration,
    /// From an answer to the next request.
    pub(crate) keep_alive: Duration,
    /// Between two bytes that the client reads.
    pub(crate) write: Duration,
}

pub(crate) struct Gate<S> {
    socket: S,
    link: Arc<Link>,
    settings: GateSettings,
    /// What was read from the socket and not passed on yet.
    raw: BytesMut,
    /// How many bytes at the beginning of `raw` may pass.
    cleared: usize,
    mode: Mode,
    /// How much of `raw` is known not to hold the end of a head.
    searched: usize,
    /// Whether an empty line before the head was left out.
    skipped: bool,
    head_began: Option<Instant>,
    /// Whether the request that is being read may turn the connection over to another protocol.
    may_upgrade: bool,
    at_end: bool,
    read_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    lingered: usize,
    is_shut: bool,
}

enum Mode {
    Head,
    Length(u64),
    Chunked(Chunks),
    /// After a request that may upgrade: nothing passes until it is decided what the bytes are.
    Undecided,
    /// Another protocol.
    Raw,
    /// After a refused request nothing passes any more.
    Refused,
}

enum Step {
    /// Bytes were cleared, or the mode changed.
    Forward,
    /// More bytes are needed.
    Read,
    /// Nothing is read until something else happens.
    Wait,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// A gate before `socket`, of which `raw` was read already.
    pub(crate) fn new(socket: S, raw: BytesMut, link: Arc<Link>, settings: GateSettings) -> Self {
        Self {
            socket,
            link,
            settings,
            raw,
            cleared: 0,
            mode: Mode::Head,
            searched: 0,
            skipped: false,
            head_began: None,
            may_upgrade: false,
            at_end: false,
            read_timer: None,
            write_timer: None,
            lingered: 0,
            is_shut: false,
        }
    }

    fn step(&mut self, cx: &mut Context<'_>) -> io::Result<Step> {
        match &mut self.mode {
            Mode::Head => return Ok(self.step_head()),
            Mode::Refused => return Ok(Step::Wait),
            Mode::Undecided => {
                self.link.register(cx.waker());
                match self.link.next_protocol() {
                    NextProtocol::Undecided => return Ok(Step::Wait),
                    NextProtocol::Http => self.mode = Mode::Head,
                    NextProtocol::Other => self.mode = Mode::Raw,
                }
                return Ok(Step::Forward);
            }
            _ if self.raw.is_empty() => return Ok(Step::Read),
            Mode::Raw => self.cleared = self.raw.len(),
            Mode::Length(left) => {
                let here = (*left).min(self.raw.len() as u64);
                self.cleared = here as usize;
                *left -= here;
                if *left == 0 {
                    self.end_request();
                }
            }
            Mode::Chunked(chunks) => match chunks.read(&self.raw) {
                Ok(read) => {
                    self.cleared = read;
                    if chunks.is_done() {
                        self.end_request();
                    }
                }
                Err(failure) => {
                    self.mode = Mode::Refused;
                    self.link.spoil(failure);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a malformed chunked body"));
                }
            },
        }
        Ok(Step::Forward)
    }

    fn step_head(&mut self) -> Step {
        if !self.raw.is_empty() {
            self.head_began.get_or_insert_with(Instant::now);
        }
        // One empty line before a request is forgiven (RFC 9112 §2.2).
        if !self.skipped && self.raw.starts_with(b"\r\n") {
            self.raw.advance(2);
            self.skipped = true;
        }
        if self.raw.is_empty() || (!self.skipped && self.raw[..] == *b"\r") {
            return Step::Read;
        }
        let from = self.searched.saturating_sub(3);
        let end = self.raw[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4);
        let limits = self.settings.limits;
        let Some(end) = end.filter(|end| *end <= limits.bytes) else {
            if self.raw.len() > limits.bytes {
                return self.refuse(Failure::HeadTooLarge);
            }
            // Who ends lines with bare LF would wait for an answer until the time is over.
            let has_other_end = self.raw[from..].windows(2).any(|window| window == b"\n\n");
            self.searched = self.raw.len();
            return if has_other_end {
                self.refuse(Failure::BadRequest("a line that does not end with CR LF"))
            } else {
                Step::Read
            };
        };
        match judge(&self.raw[..end], limits) {
            Err(failure) => self.refuse(failure),
            Ok(head) => {
                self.cleared = end;
                (self.searched, self.head_began, self.skipped) = (0, None, false);
                self.may_upgrade = head.upgrade;
                self.link.head_passed();
                match head.framing {
                    Framing::None => self.end_request(),
                    Framing::Length(length) => self.mode = Mode::Length(length),
                    Framing::Chunked => self.mode = Mode::Chunked(Chunks::new()),
                }
                Step::Forward
            }
        }
    }

    fn end_request(&mut self) {
        self.mode = match self.may_upgrade {
            true => Mode::Undecided,
            false => Mode::Head,
        };
    }

    fn refuse(&mut self, failure: Failure) -> Step {
        self.raw.clear();
        self.raw.extend_from_slice(IN_PLACE);
        self.cleared = IN_PLACE.len();
        self.mode = Mode::Refused;
        self.head_began = None;
        self.link.head_passed();
        self.link.refuse(failure);
        Step::Forward
    }

    /// When the client has waited too long, if it is its turn.
    fn read_deadline(&self) -> Option<Instant> {
        let GateSettings { head, keep_alive, .. } = self.settings;
        let (since, limit) = match (&self.mode, self.head_began) {
            (Mode::Head, Some(began)) => (began, head),
            (Mode::Head, None) => (self.link.idle_since()?, if self.link.is_fresh() { head } else { keep_alive }),
            _ => return None,
        };
        Some(since + if self.link.is_hurried() { limit.min(HURRIED) } else { limit })
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.register(cx.waker());
        loop {
            // While a request is being served nobody waits for the client: look again later.
            let deadline = self.read_deadline();
            let at = deadline.unwrap_or_else(|| Instant::now() + self.settings.keep_alive);
            let timer = self.read_timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if deadline.is_some_and(|deadline| deadline < timer.deadline()) {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.read_timer = None;
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.raw.reserve(READ_AT_ONCE);
        let read = pin!(self.socket.read_buf(&mut self.raw)).poll(cx);
        if read.is_pending() && self.raw.is_empty() {
            // An idle connection holds no buffer.
            self.raw = BytesMut::new();
        }
        read
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let wait = self.settings.write;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + wait)));
        ready!(timer.as_mut().poll(cx));
        self.link.spoil(Failure::Stalled);
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client does not read"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> hyper::rt::Read for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.cleared > 0 {
                let count = this.cleared.min(out.remaining());
                out.put_slice(&this.raw[..count]);
                this.raw.advance(count);
                this.cleared -= count;
                return Poll::Ready(Ok(()));
            }
            match this.step(cx)? {
                Step::Forward => {}
                Step::Wait => return Poll::Pending,
                Step::Read if this.at_end => return Poll::Ready(Ok(())),
                Step::Read => match this.poll_fill(cx) {
                    Poll::Ready(Ok(0)) => this.at_end = true,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => {
                        this.at_end = true;
                        return Poll::Ready(Err(error));
                    }
                    Poll::Pending => {
                        ready!(this.poll_late(cx));
                        if this.head_began.is_none() {
                            this.at_end = true;
                        } else {
                            this.refuse(Failure::ClientTooSlow);
                        }
                    }
                },
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> hyper::rt::Write for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write(cx, bytes) {
            Poll::Ready(done) => {
                this.write_timer = None;
                Poll::Ready(done)
            }
            Poll::Pending => this.poll_stalled(cx).map(Err),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write_vectored(cx, slices) {
            Poll::Ready(done) => {
                this.write_timer = None;
                Poll::Ready(done)
            }
            Poll::Pending => this.poll_stalled(cx).map(Err),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
            this.is_shut = true;
            this.read_timer = Some(Box::pin(sleep_until(Instant::now() + LINGER_TIME)));
        }
        if matches!(this.mode, Mode::Raw) {
            return Poll::Ready(Ok(()));
        }
        while !this.at_end && this.lingered < LINGER_BYTES {
            this.raw.clear();
            match this.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => this.at_end = true,
                Poll::Ready(Ok(count)) => this.lingered += count,
                Poll::Pending => match &mut this.read_timer {
                    Some(timer) => {
                        ready!(timer.as_mut().poll(cx));
                        break;
                    }
                    None => break,
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}
