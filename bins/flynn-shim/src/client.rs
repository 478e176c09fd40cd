//! One connection to the socket of the job.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use flynn_runtime::shim::{Answer, PROTOCOL, Reply, Request, Trouble};
use rustix::event::PollFlags;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// A longer request is a mistake; the environment of a process is the largest part of one.
const LONGEST_REQUEST: usize = 4 << 20;
/// A client that lets so many replies wait is not reading.
const MOST_REPLIES: usize = 64;

#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
}

impl Client {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, inbox: Vec::new(), outbox: VecDeque::new() })
    }

    pub(crate) fn poll(&self) -> (BorrowedFd<'_>, PollFlags) {
        let write = if self.outbox.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        (self.stream.as_fd(), PollFlags::IN | write)
    }

    /// The requests that have arrived in full.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<Request>> {
        let mut requests = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let count = match rustix::io::read(&self.stream, &mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(rustix::io::Errno::AGAIN) => return Ok(requests),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            self.inbox.extend_from_slice(&buffer[..count]);
            while let Some(end) = self.inbox.iter().position(|&byte| byte == b'\n') {
                let line: Vec<_> = self.inbox.drain(..=end).collect();
                match serde_json::from_slice::<Request>(&line) {
                    Ok(request) if request.v <= PROTOCOL => requests.push(request),
                    Ok(request) => self.reply(request.id, error(Trouble::Invalid, NEWER), vec![])?,
                    Err(_) => self.reply(request_id(&line), error(Trouble::Invalid, UNKNOWN), vec![])?,
                }
            }
            if self.inbox.len() > LONGEST_REQUEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Puts a reply on its way.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub(crate) fn reply(&mut self, id: u64, answer: Answer, streams: Vec<OwnedFd>) -> io::Result<()> {
        if self.outbox.len() >= MOST_REPLIES {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let mut line = serde_json::to_vec(&Reply { v: PROTOCOL, id, answer })?;
        line.push(b'\n');
        self.outbox.push_back((line, streams));
        self.flush()
    }

    /// Sends what can be sent at once.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while let Some((line, streams)) = self.outbox.front_mut() {
            let ends: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !ends.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&ends));
            }
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match sendmsg(&self.stream, &[IoSlice::new(line)], &mut control, flags) {
                Ok(count) => {
                    drop(ends);
                    streams.clear();
                    line.drain(..count);
                    if line.is_empty() {
                        self.outbox.pop_front();
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

const NEWER: &str = "the request is of a newer version than this shim";
const UNKNOWN: &str = "the request is not understood";

pub(crate) fn error(trouble: Trouble, message: impl Into<String>) -> Answer {
    Answer::Error { trouble, message: message.into() }
}

/// The number of a request that is otherwise not understood, so that its sender gets an answer.
fn request_id(line: &[u8]) -> u64 {
    let value: Option<serde_json::Value> = serde_json::from_slice(line).ok();
    value.and_then(|value| value.get("id")?.as_u64()).unwrap_or(0)
}
