use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{Frame, FrameError, MOST_PAYLOAD, malformed};

/// Kind and length.
const HEAD: usize = 5;

/// Reads frames off a byte stream. It holds no more than one frame and what came with it.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    received: Vec<u8>,
    /// How much of `received` was given out.
    taken: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        Self { stream, received: Vec::new(), taken: 0 }
    }

    /// The next frame of a kind that this release knows; none at the end of the stream. A call that is dropped
    /// loses nothing: the next one goes on where it was.
    ///
    /// # Errors
    /// `Broken` or `Malformed`. There is no way on after one.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            match self.take()? {
                Taken::Frame(frame) => return Ok(Some(frame)),
                Taken::Skipped => continue,
                Taken::Short => {}
            }
            self.received.drain(..self.taken);
            self.taken = 0;
            self.received.reserve(HEAD + MOST_PAYLOAD - self.received.len());
            let read = self.stream.read_buf(&mut self.received).await.map_err(broken("read frame"))?;
            match read {
                0 if self.received.is_empty() => return Ok(None),
                0 => return Err(broken("read frame")(std::io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            }
        }
    }

    fn take(&mut self) -> Result<Taken, FrameError> {
        let rest = &self.received[self.taken..];
        let Some((&[kind, a, b, c, d], rest)) = rest.split_first_chunk::<HEAD>() else { return Ok(Taken::Short) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MOST_PAYLOAD {
            return Err(malformed(format!("a frame says it has {length} bytes, more than {MOST_PAYLOAD}")));
        }
        let Some(payload) = rest.get(..length) else { return Ok(Taken::Short) };
        let frame = Frame::from_parts(kind, payload);
        self.taken += HEAD + length;
        match frame {
            Ok(frame) => Ok(Taken::Frame(frame)),
            Err(FrameError::Unknown(_)) => Ok(Taken::Skipped),
            Err(error) => Err(error),
        }
    }
}

enum Taken {
    Frame(Frame),
    Skipped,
    Short,
}

/// Writes frames to a byte stream.
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    /// What is still to be written.
    pending: Vec<u8>,
    written: usize,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes to `stream`.
    pub fn new(stream: W) -> Self {
        Self { stream, pending: Vec::new(), written: 0 }
    }

    /// Writes a frame and flushes. A call that is dropped writes the frame all the same, with the next call: so
    /// what it was given must not be written again.
    ///
    /// # Errors
    /// `Broken`.
    pub async fn write(&mut self, frame: Frame) -> Result<(), FrameError> {
        let pending = &mut self.pending;
        frame.each_part(|kind, payload| {
            pending.push(kind);
            // No payload is longer than `MOST_PAYLOAD`.
            pending.extend_from_slice(&(payload.len() as u32).to_be_bytes());
            pending.extend_from_slice(payload);
        });
        self.flush().await.map_err(broken("write frame"))
    }

    /// Says that nothing follows, so that the other side reads the end.
    ///
    /// # Errors
    /// `Broken`.
    pub async fn shutdown(&mut self) -> Result<(), FrameError> {
        self.flush().await.map_err(broken("end frames"))?;
        self.stream.shutdown().await.map_err(broken("end frames"))
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        while self.written < self.pending.len() {
            match self.stream.write(&self.pending[self.written..]).await? {
                0 => return Err(std::io::ErrorKind::WriteZero.into()),
                count => self.written += count,
            }
        }
        self.pending.clear();
        self.written = 0;
        self.stream.flush().await
    }
}

fn broken(operation: &'static str) -> impl Fn(std::io::Error) -> FrameError {
    move |source| FrameError::Broken { operation, source: source.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;
    use crate::wire::arbitrary::link::frame;

    fn block_on<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    async fn read_all(stream: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let (mut reader, mut frames) = (FrameReader::new(stream), Vec::new());
        while let Some(frame) = reader.next().await? {
            frames.push(frame);
        }
        Ok(frames)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The pipe is smaller than most frames, and the reader is dropped over and over in the middle of one.
        #[test]
        fn frames_pass_through_a_narrow_pipe(frames in proptest::collection::vec(frame(), 0..12), room in 1..64_usize) {
            block_on(async {
                let (near, far) = tokio::io::duplex(room);
                let sent = frames.clone();
                let write = async move {
                    let mut writer = FrameWriter::new(near);
                    for frame in sent {
                        writer.write(frame).await.unwrap();
                    }
                    writer.shutdown().await.unwrap();
                };
                let read = async move {
                    let (mut reader, mut read) = (FrameReader::new(far), Vec::new());
                    loop {
                        match timeout(Duration::ZERO, reader.next()).await {
                            Ok(Ok(Some(frame))) => read.push(frame),
                            Ok(Ok(None)) => return read,
                            Ok(Err(error)) => panic!("{error}"),
                            Err(_) => tokio::task::yield_now().await,
                        }
                    }
                };
                let ((), read) = tokio::join!(write, read);
                assert_eq!(read, frames);
            });
        }

        #[test]
        fn what_is_cut_short_is_broken(frame in frame(), place in any::<prop::sample::Index>()) {
            block_on(async {
                let mut written = Vec::new();
                FrameWriter::new(&mut written).write(frame).await.unwrap();
                let cut = 1 + place.index(written.len() - 1);
                assert!(matches!(read_all(&written[..cut]).await, Err(FrameError::Broken { .. })));
            });
        }
    }

    #[test]
    fn unknown_kinds_are_passed_over() {
        let mut stream = vec![99, 0, 0, 0, 3, 1, 2, 3];
        stream.extend([1, 0, 0, 0, 0]);
        assert_eq!(block_on(read_all(&stream)).unwrap(), [Frame::InputEnd]);
    }

    #[test]
    fn a_frame_cannot_ask_for_memory() {
        assert!(matches!(block_on(read_all(&[0, 0xff, 0, 0, 0, 1])), Err(FrameError::Malformed { .. })));
    }

    #[test]
    fn a_dropped_write_is_not_lost() {
        block_on(async {
            let (near, far) = tokio::io::duplex(4);
            let mut writer = FrameWriter::new(near);
            let first = writer.write(Frame::Output(vec![7; 100]));
            assert!(timeout(Duration::from_millis(1), first).await.is_err());
            let rest = async {
                writer.write(Frame::Exit(crate::noun::Exit::Code(0))).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let mut reader = FrameReader::new(far);
            let read = async {
                let first = reader.next().await.unwrap();
                (first, reader.next().await.unwrap(), reader.next().await.unwrap())
            };
            let ((), read) = tokio::join!(rest, read);
            let exit = Frame::Exit(crate::noun::Exit::Code(0));
            assert_eq!(read, (Some(Frame::Output(vec![7; 100])), Some(exit), None));
        });
    }
}
