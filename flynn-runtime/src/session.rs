use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::noun::Exit;
use flynn_core::port::{RuntimeError, Session, SessionControl, Signal, TerminalSize};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OnceCell;

use crate::client::{CallError, Client};
use crate::jobs::{refused, unexpected};
use crate::shim::{Answer, Command, Files, StreamKind, Target};
use crate::signal::number;

/// Joins what the shim opened. The connection stays open for as long as the session: when it closes, the
/// shim hangs up.
pub(crate) fn join(
    operation: &'static str,
    job: JobId,
    files: Files,
    connection: Client,
    opened: (Answer, Vec<OwnedFd>),
) -> Result<Session, RuntimeError> {
    let (Answer::Open { target, streams }, ends) = opened else {
        return Err(unexpected(operation));
    };
    let mut input: Box<dyn AsyncWrite + Send + Unpin> = Box::new(tokio::io::sink());
    let mut output: Box<dyn AsyncRead + Send + Unpin> = Box::new(tokio::io::empty());
    let mut errors: Option<Box<dyn AsyncRead + Send + Unpin>> = None;
    for (kind, end) in streams.into_iter().zip(ends) {
        let end = End::new(kind, end).map_err(|error| RuntimeError::Failed { operation, source: error.into() })?;
        match kind {
            StreamKind::Input => input = Box::new(end),
            StreamKind::Output => output = Box::new(end),
            StreamKind::Errors => errors = Some(Box::new(end)),
            StreamKind::Both | StreamKind::Terminal => {
                input = Box::new(end.clone());
                output = Box::new(end);
            }
        }
    }
    let control = Control { job, files, target, _connection: connection, exit: OnceCell::new() };
    Ok(Session { input, output, errors, control: Box::new(control) })
}

struct Control {
    job: JobId,
    files: Files,
    target: Target,
    _connection: Client,
    exit: OnceCell<Exit>,
}

impl Control {
    /// Each question has a connection of its own, so that none waits for another.
    async fn ask(&self, operation: &'static str, command: Command) -> Result<Answer, RuntimeError> {
        let ask = async { Client::connect(&self.files).await?.call(command).await };
        match ask.await {
            Ok((answer, _)) => Ok(answer),
            Err(error) => Err(self.failed(operation, error)),
        }
    }

    fn failed(&self, operation: &'static str, error: CallError) -> RuntimeError {
        refused(operation, self.job, error)
    }
}

#[async_trait]
impl SessionControl for Control {
    async fn resize(&self, size: TerminalSize) -> Result<(), RuntimeError> {
        let TerminalSize { rows, columns } = size;
        self.ask("resize", Command::Resize { target: self.target, rows, columns }).await.map(drop)
    }

    async fn signal(&self, signal: Signal) -> Result<(), RuntimeError> {
        let number = number("signal", signal)?;
        self.ask("signal", Command::Signal { target: self.target, number }).await.map(drop)
    }

    async fn wait(&self) -> Result<Exit, RuntimeError> {
        let ask = async {
            match self.ask("wait", Command::Wait { target: self.target }).await? {
                Answer::Ended { exit } => Ok(exit.exit.into()),
                _ => Err(unexpected("wait")),
            }
        };
        self.exit.get_or_try_init(|| ask).await.cloned()
    }
}

/// One end of a pipe, socket or terminal.
#[derive(Clone)]
struct End {
    kind: StreamKind,
    end: Option<Arc<AsyncFd<OwnedFd>>>,
}

impl End {
    fn new(kind: StreamKind, end: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&end)?;
        rustix::fs::fcntl_setfl(&end, flags | rustix::fs::OFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` names the same open file for as long as it lives.
        let end = unsafe { AsyncFd::register(end) }?;
        Ok(Self { kind, end: Some(Arc::new(end)) })
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(end) = &self.end else {
            return Poll::Ready(Ok(()));
        };
        loop {
            let mut guard = ready!(end.poll_read_ready(cx))?;
            let unfilled = buffer.initialize_unfilled();
            match guard.try_io(|end| Ok(rustix::io::read(end.get_ref(), unfilled)?)) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // A terminal whose last user is gone.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(end) = &self.end else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        loop {
            let mut guard = ready!(end.poll_write_ready(cx))?;
            let write = |end: &AsyncFd<OwnedFd>| match self.kind {
                StreamKind::Both => Ok(rustix::net::send(end.get_ref(), bytes, rustix::net::SendFlags::NOSIGNAL)?),
                _ => Ok(rustix::io::write(end.get_ref(), bytes)?),
            };
            if let Ok(result) = guard.try_io(write) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the input of the process, except for a terminal: that knows no end but the one that is typed.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (self.kind, &self.end) {
            (StreamKind::Both, Some(end)) => {
                Poll::Ready(Ok(rustix::net::shutdown(end.get_ref(), rustix::net::Shutdown::Write)?))
            }
            (StreamKind::Input, _) => {
                self.end = None;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}
