use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body as _;
use reqwest::Body;
use tokio::io::{AsyncRead, ReadBuf};

use crate::link::Silence;
use crate::value::Digest;
use crate::wire::peer::{DAMAGED, LONGEST_PIECE, NO_MORE};

/// Content on its way from a server.
pub(super) struct Incoming {
    body: Body,
    digest: Digest,
    chunk: Bytes,
    state: State,
    silence: Silence,
}

enum State {
    /// So many bytes of a length have come.
    Length([u8; 4], usize),
    /// So many bytes of a piece are to come.
    Piece(usize),
    Ended,
}

impl Incoming {
    pub(super) fn new(body: Body, digest: Digest, patience: Duration) -> Self {
        let state = State::Length([0; 4], 0);
        Self { body, digest, chunk: Bytes::new(), state, silence: Silence::new(patience) }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wrong = |kind, problem: &str| Err(io::Error::new(kind, format!("read {}: {problem}", self.digest)));
        while self.chunk.is_empty() {
            let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(cx) else {
                ready!(self.silence.poll(cx));
                return Poll::Ready(wrong(io::ErrorKind::TimedOut, "nothing arrived for too long"));
            };
            self.silence.broken();
            match next {
                Some(Ok(frame)) => self.chunk = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    let problem = crate::error::Chain(&error).to_string();
                    return Poll::Ready(wrong(io::ErrorKind::ConnectionAborted, &problem));
                }
                None => return Poll::Ready(wrong(io::ErrorKind::UnexpectedEof, "the server broke off")),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Incoming {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if let State::Ended = self.state {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_chunk(cx))?;
            let incoming = &mut *self;
            match &mut incoming.state {
                State::Length(bytes, count) => {
                    let taken = incoming.chunk.len().min(4 - *count);
                    incoming.chunk.copy_to_slice(&mut bytes[*count..*count + taken]);
                    *count += taken;
                    if *count < 4 {
                        continue;
                    }
                    let problem = match u32::from_be_bytes(*bytes) {
                        NO_MORE => {
                            incoming.state = State::Ended;
                            continue;
                        }
                        DAMAGED => "it is damaged where it is kept",
                        length if length as usize <= LONGEST_PIECE => {
                            incoming.state = State::Piece(length as usize);
                            continue;
                        }
                        _ => "the server does not speak in pieces",
                    };
                    let problem = format!("read {}: {problem}", incoming.digest);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, problem)));
                }
                State::Piece(left) => {
                    let length = incoming.chunk.len().min(into.remaining()).min(*left);
                    into.put_slice(&incoming.chunk.split_to(length));
                    *left -= length;
                    if *left == 0 {
                        incoming.state = State::Length([0; 4], 0);
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Ended => {}
            }
        }
    }
}
