use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::{JoinHandle, spawn_blocking};

use super::CHUNK;
use crate::port::BlobError;
use crate::value::Digest;

/// Reads content and fails, rather than hand out its last chunk, if it does not have its digest.
pub(super) struct VerifyingReader {
    state: State,
    chunk: Vec<u8>,
    /// How much of the chunk has been handed out.
    taken: usize,
}

enum State {
    Idle(Source),
    Reading(JoinHandle<io::Result<(State, Vec<u8>)>>),
    Ended,
    Failed(io::ErrorKind),
}

struct Source {
    file: File,
    digest: Digest,
    hasher: Sha256,
    left: u64,
}

impl VerifyingReader {
    pub(super) fn new(file: File, digest: Digest, bytes: u64) -> Self {
        let source = Source { file, digest, hasher: Sha256::new(), left: bytes };
        Self { state: State::Idle(source), chunk: Vec::new(), taken: 0 }
    }
}

impl Source {
    /// Reads the next chunk into `chunk`, and verifies all of the content if it is the last one.
    fn read(mut self, mut chunk: Vec<u8>) -> io::Result<(State, Vec<u8>)> {
        chunk.clear();
        let wanted = self.left.min(CHUNK as u64);
        let read = (&self.file).take(wanted).read_to_end(&mut chunk)? as u64;
        self.hasher.update(&chunk);
        self.left -= read;
        if self.left > 0 && read == wanted {
            return Ok((State::Idle(self), chunk));
        }
        let actual = Digest::from_bytes(self.hasher.finalize().into());
        if actual == self.digest {
            return Ok((State::Ended, chunk));
        }
        let corrupt = BlobError::Corrupt { operation: "read", expected: self.digest, actual };
        Err(io::Error::new(io::ErrorKind::InvalidData, corrupt))
    }
}

impl AsyncRead for VerifyingReader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let rest = &this.chunk[this.taken..];
            if !rest.is_empty() {
                let given = rest.len().min(into.remaining());
                into.put_slice(&rest[..given]);
                this.taken += given;
                return Poll::Ready(Ok(()));
            }
            this.state = match std::mem::replace(&mut this.state, State::Ended) {
                State::Idle(source) => {
                    let chunk = std::mem::take(&mut this.chunk);
                    this.taken = 0;
                    State::Reading(spawn_blocking(move || source.read(chunk)))
                }
                State::Reading(mut reading) => match Pin::new(&mut reading).poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(read) => match read.map_err(io::Error::from).flatten() {
                        Ok((state, chunk)) => {
                            this.chunk = chunk;
                            state
                        }
                        Err(error) => {
                            this.state = State::Failed(error.kind());
                            return Poll::Ready(Err(error));
                        }
                    },
                },
                State::Ended => return Poll::Ready(Ok(())),
                State::Failed(kind) => {
                    this.state = State::Failed(kind);
                    return Poll::Ready(Err(kind.into()));
                }
            };
        }
    }
}
