use std::time::Duration;

use flynn_core::link::{Frame, FrameReader, FrameWriter};
use flynn_core::port::{Session, SessionControl, TerminalSize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};

use crate::agent::operation::chain;

/// Input that the process does not take is held up to here; then nothing more is read.
const MOST_INPUT: usize = 256 << 10;
/// One piece of output.
const CHUNK: usize = 32 << 10;
/// After the end of the process its output is read until none comes for so long: whoever else holds the pipe may
/// hold it for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// And no more than this of it, which is more than pipes and sockets hold: they may write for ever, too.
const MOST_LAST_WORDS: usize = 4 << 20;

/// Which side ended it.
pub(super) enum Ended {
    /// The process, and the other side was told how.
    Told,
    /// The other side went away first.
    HungUp(Box<dyn SessionControl>),
}

type Source = Box<dyn AsyncRead + Send + Unpin>;
type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// Carries everything between a process and whoever opened the way to it.
pub(super) async fn pump(session: Session, wire: DuplexStream, size: Option<TerminalSize>) -> Ended {
    let Session { input, output, errors, control } = session;
    let (read, write) = tokio::io::split(wire);
    if let Some(size) = size {
        resize(&*control, size).await;
    }
    let told = {
        let inbound = inbound(FrameReader::new(read), input, &*control);
        let outbound = outbound(output, errors, &*control, FrameWriter::new(write));
        tokio::pin!(inbound, outbound);
        tokio::select! {
            told = &mut outbound => told,
            () = &mut inbound => false,
        }
    };
    if told { Ended::Told } else { Ended::HungUp(control) }
}

async fn resize(control: &dyn SessionControl, size: TerminalSize) {
    if let Err(error) = control.resize(size).await {
        tracing::debug!(problem = chain(&error), "a terminal was not told its size");
    }
}

/// Takes what the other side sends, until it hangs up.
async fn inbound(mut reader: FrameReader<ReadHalf<DuplexStream>>, mut input: Sink, control: &dyn SessionControl) {
    let mut pending: Vec<u8> = Vec::new();
    let (mut takes, mut ending) = (true, false);
    loop {
        if ending && takes && pending.is_empty() {
            takes = false;
            // A process that is gone needs no end of its input.
            let _ = input.shutdown().await;
        }
        tokio::select! {
            frame = reader.next(), if pending.len() < MOST_INPUT => match frame {
                Ok(Some(Frame::Input(bytes))) if takes && !ending => pending.extend_from_slice(&bytes),
                Ok(Some(Frame::InputEnd)) => ending = true,
                Ok(Some(Frame::Resize(size))) => resize(control, size).await,
                Ok(Some(Frame::Signal(signal))) => {
                    if let Err(error) = control.signal(signal).await {
                        tracing::debug!(problem = chain(&error), "a signal was not delivered");
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            },
            written = input.write(&pending), if takes && !pending.is_empty() => match written {
                Ok(count) if count > 0 => drop(pending.drain(..count)),
                // The process has closed its input.
                Ok(_) | Err(_) => {
                    takes = false;
                    pending.clear();
                }
            },
        }
    }
}

/// Sends what the process writes, and its end. False if nobody takes it any more.
async fn outbound(
    mut output: Source,
    mut errors: Option<Source>,
    control: &dyn SessionControl,
    mut writer: FrameWriter<WriteHalf<DuplexStream>>,
) -> bool {
    let (mut out, mut err) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut is_open = true;
    let mut end = None;
    let mut after_end = 0;
    let wait = control.wait();
    tokio::pin!(wait);
    let last_words = tokio::time::sleep(LAST_WORDS);
    tokio::pin!(last_words);
    while (is_open || errors.is_some()) && after_end < MOST_LAST_WORDS {
        let frame = tokio::select! {
            read = output.read(&mut out), if is_open => match read {
                Ok(count) if count > 0 => Frame::Output(out[..count].to_vec()),
                Ok(_) | Err(_) => {
                    is_open = false;
                    continue;
                }
            },
            read = read(&mut errors, &mut err), if errors.is_some() => match read {
                Ok(count) if count > 0 => Frame::Errors(err[..count].to_vec()),
                Ok(_) | Err(_) => {
                    errors = None;
                    continue;
                }
            },
            ended = &mut wait, if end.is_none() => {
                end = Some(ended);
                last_words.as_mut().reset(tokio::time::Instant::now() + LAST_WORDS);
                continue;
            }
            () = &mut last_words, if end.is_some() => break,
        };
        if let (Some(_), Frame::Output(bytes) | Frame::Errors(bytes)) = (&end, &frame) {
            after_end += bytes.len();
        }
        if writer.write(frame).await.is_err() {
            return false;
        }
        // The other side may have taken its time, and more may have come meanwhile.
        last_words.as_mut().reset(tokio::time::Instant::now() + LAST_WORDS);
    }
    let end = match end {
        Some(end) => end,
        None => wait.await,
    };
    let frame = match end {
        Ok(exit) => Frame::Exit(exit),
        Err(error) => Frame::Problem(format!("nobody knows how it ended: {}", chain(&error))),
    };
    writer.write(frame).await.is_ok() && writer.shutdown().await.is_ok()
}

async fn read(errors: &mut Option<Source>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match errors {
        Some(errors) => errors.read(buffer).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test")]

    use async_trait::async_trait;
    use flynn_core::noun::Exit;
    use flynn_core::port::{RuntimeError, Signal};

    use super::*;

    /// A process that has ended.
    struct Over;

    #[async_trait]
    impl SessionControl for Over {
        async fn resize(&self, _: TerminalSize) -> Result<(), RuntimeError> {
            Ok(())
        }

        async fn signal(&self, _: Signal) -> Result<(), RuntimeError> {
            Ok(())
        }

        async fn wait(&self) -> Result<Exit, RuntimeError> {
            Ok(Exit::Code(3))
        }
    }

    fn session(output: Source) -> Session {
        Session { input: Box::new(tokio::io::sink()), output, errors: None, control: Box::new(Over) }
    }

    /// Reads to the end, the first time only when the process has been over for longer than its last words take.
    async fn read_late(wire: DuplexStream) -> (usize, Exit) {
        let (read, _write) = tokio::io::split(wire);
        let mut reader = FrameReader::new(read);
        tokio::time::sleep(LAST_WORDS * 2).await;
        let mut count = 0;
        loop {
            match reader.next().await.unwrap() {
                Some(Frame::Output(bytes)) => count += bytes.len(),
                Some(Frame::Exit(exit)) => return (count, exit),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn one_who_reads_slowly_gets_all_of_it() {
        let written = vec![7; 40 * CHUNK];
        let (ours, theirs) = tokio::io::duplex(CHUNK);
        let pumped = pump(session(Box::new(std::io::Cursor::new(written))), ours, None);
        let (ended, read) = tokio::join!(pumped, read_late(theirs));
        assert!(matches!(ended, Ended::Told));
        assert_eq!(read, (40 * CHUNK, Exit::Code(3)));
    }

    #[tokio::test]
    async fn a_pipe_that_others_hold_does_not_hold_up_the_end() {
        let (ours, theirs) = tokio::io::duplex(CHUNK);
        let pumped = pump(session(Box::new(tokio::io::repeat(7))), ours, None);
        let (ended, (count, exit)) = tokio::join!(pumped, read_late(theirs));
        assert!(matches!(ended, Ended::Told));
        assert!(count >= MOST_LAST_WORDS && exit == Exit::Code(3), "{count}");
        let (ours, theirs) = tokio::io::duplex(CHUNK);
        let (silent, _held) = tokio::io::duplex(1);
        let (_, read) = tokio::join!(pump(session(Box::new(silent)), ours, None), read_late(theirs));
        assert_eq!(read, (0, Exit::Code(3)));
    }
}
