use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use crate::shim::{Answer, Command, Files, PROTOCOL, Reply, Request, Trouble};

/// A connection to a shim, for one question at a time.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    inbox: Vec<u8>,
    ends: VecDeque<OwnedFd>,
    next: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the supervisor of the job is out of reach")]
    Gone(#[from] io::Error),
    #[error("{message}")]
    Refused { trouble: Trouble, message: String },
    #[error("the supervisor of the job gave an answer to another question")]
    Confused,
}

impl Client {
    pub(crate) async fn connect(files: &Files) -> Result<Self, CallError> {
        let flags = rustix::fs::OFlags::DIRECTORY.bits().cast_signed();
        let directory = File::options().read(true).custom_flags(flags).open(&files.directory)?;
        let path = format!("/proc/self/fd/{}/{}", directory.as_raw_fd(), Files::SOCKET);
        let stream = UnixStream::connect(path).await?;
        Ok(Self { stream, inbox: Vec::new(), ends: VecDeque::new(), next: 0 })
    }

    /// Asks, and waits for the answer and the descriptors that come with it.
    pub(crate) async fn call(&mut self, command: Command) -> Result<(Answer, Vec<OwnedFd>), CallError> {
        let id = self.next;
        self.next += 1;
        let mut line = serde_json::to_vec(&Request { v: PROTOCOL, id, command }).map_err(io::Error::from)?;
        line.push(b'\n');
        self.stream.write_all(&line).await?;
        let reply: Reply = serde_json::from_slice(&self.line().await?).map_err(io::Error::from)?;
        match reply.answer {
            _ if reply.id != id => Err(CallError::Confused),
            Answer::Error { trouble, message } => Err(CallError::Refused { trouble, message }),
            answer => Ok((answer, self.ends.drain(..).collect())),
        }
    }

    /// Waits until the shim has closed the connection.
    pub(crate) async fn closed(&mut self) {
        while self.line().await.is_ok() {}
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.inbox.iter().position(|&byte| byte == b'\n') {
                return Ok(self.inbox.drain(..=end).collect());
            }
            let stream = &self.stream;
            let (bytes, ends) = stream.async_io(Interest::READABLE, || receive(stream)).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.extend(bytes);
            self.ends.extend(ends);
        }
    }
}

fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = vec![0; 16 << 10];
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    buffer.truncate(received.bytes);
    let mut ends = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            ends.extend(some);
        }
    }
    Ok((buffer, ends))
}
