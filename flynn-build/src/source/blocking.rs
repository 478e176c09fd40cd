//! Between readers that block and readers that wait.

use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

const CHUNK: usize = 256 << 10;

/// Lets `work` read `input` on a thread where blocking is allowed. When the future is dropped, that reader
/// fails and `work` ends.
pub(super) async fn read_blocking<T, E>(
    mut input: impl AsyncRead + Unpin,
    work: impl FnOnce(ChunkReader) -> Result<T, E> + Send + 'static,
) -> io::Result<Result<T, E>>
where
    T: Send + 'static,
    E: Send + 'static,
{
    let (sender, receiver) = mpsc::channel(4);
    let worker = spawn_blocking(move || work(ChunkReader { receiver, chunk: io::Cursor::default(), ended: false }));
    loop {
        let mut chunk = vec![0; CHUNK];
        let read = input.read(&mut chunk).await.map(|count| {
            chunk.truncate(count);
            chunk
        });
        let is_last = !matches!(&read, Ok(chunk) if !chunk.is_empty());
        if sender.send(read).await.is_err() || is_last {
            break;
        }
    }
    // Work that reads on after an error waits until the channel is closed.
    drop(sender);
    worker.await.map_err(io::Error::other)
}

/// Chunks as one stream; an empty one is its end.
pub(super) struct ChunkReader {
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

/// Reads a blocking reader on threads where that is allowed, a chunk at a time.
pub(crate) struct WaitingReader<R> {
    step: Step<R>,
}

enum Step<R> {
    Ready(Box<R>, io::Cursor<Vec<u8>>),
    Reading(JoinHandle<io::Result<(Box<R>, Vec<u8>)>>),
    Failed,
}

impl<R: Read + Send + 'static> WaitingReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { step: Step::Ready(Box::new(reader), io::Cursor::default()) }
    }
}

impl<R: Read + Send + Unpin + 'static> AsyncRead for WaitingReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match std::mem::replace(&mut self.step, Step::Failed) {
                Step::Ready(reader, mut chunk) => {
                    let count = Read::read(&mut chunk, out.initialize_unfilled())?;
                    if count > 0 || out.remaining() == 0 {
                        out.advance(count);
                        self.step = Step::Ready(reader, chunk);
                        return Poll::Ready(Ok(()));
                    }
                    self.step = Step::Reading(spawn_blocking(move || {
                        let mut reader = reader;
                        let mut chunk = chunk.into_inner();
                        chunk.resize(CHUNK, 0);
                        let count = reader.read(&mut chunk)?;
                        chunk.truncate(count);
                        Ok((reader, chunk))
                    }));
                }
                Step::Reading(mut reading) => match Pin::new(&mut reading).poll(cx) {
                    Poll::Pending => {
                        self.step = Step::Reading(reading);
                        return Poll::Pending;
                    }
                    ready => {
                        let (reader, chunk) = ready!(ready).map_err(io::Error::other)??;
                        let is_end = chunk.is_empty();
                        self.step = Step::Ready(reader, io::Cursor::new(chunk));
                        if is_end {
                            return Poll::Ready(Ok(()));
                        }
                    }
                },
                Step::Failed => return Poll::Ready(Err(io::Error::other("read after a failure"))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut")))
        }
    }

    #[tokio::test]
    async fn reading_on_after_an_error_fails_again() {
        let twice = |mut reader: ChunkReader| {
            let mut kind = || reader.read(&mut [0]).map_err(|error| error.kind());
            Ok::<_, ()>([kind(), kind()])
        };
        let outcome = timeout(Duration::from_secs(10), read_blocking(Broken, twice)).await;
        let kinds = outcome.expect("the second read hangs").unwrap().unwrap();
        assert_eq!(kinds, [Err(io::ErrorKind::ConnectionReset), Err(io::ErrorKind::ConnectionAborted)]);
    }
}
