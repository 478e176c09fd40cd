//! Between streams that wait and streams that block.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

const CHUNK: usize = 256 << 10;
/// Chunks that are on their way at most.
const AHEAD: usize = 4;

/// Lets `work` read `input` on a thread where blocking is allowed. When the future is dropped, that reader
/// fails and `work` ends.
pub(crate) async fn read_blocking<T: Send + 'static>(
    mut input: impl AsyncRead + Unpin,
    work: impl FnOnce(ChunkReader) -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let worker = spawn_blocking(move || work(ChunkReader { receiver, chunk: io::Cursor::default(), ended: false }));
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = (&mut input).take(CHUNK as u64).read_to_end(&mut chunk).await.map(|_| chunk);
        let is_last = !matches!(&read, Ok(chunk) if !chunk.is_empty());
        if sender.send(read).await.is_err() || is_last {
            break;
        }
    }
    // Whoever reads on after the last of it must not wait for more.
    drop(sender);
    worker.await.map_err(io::Error::other)
}

/// Chunks as one stream; an empty one is its end.
pub(crate) struct ChunkReader {
    receiver: mpsc::Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = Read::read(&mut self.chunk, buffer)?;
            if count > 0 || self.ended || buffer.is_empty() {
                return Ok(count);
            }
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => {
                    self.ended = chunk.is_empty();
                    self.chunk = io::Cursor::new(chunk);
                }
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the reader was given up")),
            }
        }
    }
}

/// A writer for a thread where blocking is allowed, and what it writes as a stream that waits for it. The
/// stream ends well only after [`ChunkWriter::end`].
pub(crate) fn written() -> (ChunkWriter, Written) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    (
        ChunkWriter { sender, chunk: Vec::with_capacity(CHUNK) },
        Written { receiver, chunk: io::Cursor::default(), ended: false },
    )
}

/// Hands on what is written to it, a chunk at a time.
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<Vec<u8>>,
    chunk: Vec<u8>,
}

impl ChunkWriter {
    /// Says that this is all.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.flush()?;
        self.hand_on(Vec::new())
    }

    fn hand_on(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        self.sender.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.hand_on(chunk)
    }
}

/// What was written.
pub(crate) struct Written {
    receiver: mpsc::Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl AsyncRead for Written {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let count = Read::read(&mut self.chunk, out.initialize_unfilled())?;
            if count > 0 || self.ended || out.remaining() == 0 {
                out.advance(count);
                return Poll::Ready(Ok(()));
            }
            match ready!(self.receiver.poll_recv(cx)) {
                Some(chunk) => {
                    self.ended = chunk.is_empty();
                    self.chunk = io::Cursor::new(chunk);
                }
                None => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it was not finished")));
                }
            }
        }
    }
}
