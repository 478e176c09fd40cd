//! The ends of a process's streams.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use flynn_runtime::shim::StreamKind;
use rustix::fs::{Gid, Uid};
use rustix::pipe::PipeFlags;

/// What a process gets as its standard streams, if it has no terminal.
#[derive(Debug)]
pub(crate) struct Theirs {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// The far ends.
#[derive(Debug)]
pub(crate) enum Ours {
    Pipes { input: Option<OwnedFd>, output: Option<OwnedFd>, errors: Option<OwnedFd> },
    Terminal(Option<OwnedFd>),
}

impl Ours {
    pub(crate) fn input(&self) -> Option<BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        match self {
            Self::Pipes { input, .. } => input.as_ref().map(AsFd::as_fd),
            Self::Terminal(terminal) => terminal.as_ref().map(AsFd::as_fd),
        }
    }

    /// All of them, to be given away.
    pub(crate) fn into_streams(self) -> Vec<(StreamKind, OwnedFd)> {
        let list = match self {
            Self::Pipes { input, output, errors } => {
                vec![(StreamKind::Input, input), (StreamKind::Output, output), (StreamKind::Errors, errors)]
            }
            Self::Terminal(terminal) => vec![(StreamKind::Terminal, terminal)],
        };
        list.into_iter().filter_map(|(kind, end)| Some((kind, end?))).collect()
    }
}

/// Pipes for a process of `user`, with a closed input unless it is wanted.
pub(crate) fn pipes(interactive: bool, user: (u32, u32)) -> io::Result<(Theirs, Ours)> {
    let (input, stdin) = if interactive {
        let (read, write) = pipe(user)?;
        (Some(write), read)
    } else {
        (None, File::open("/dev/null")?.into())
    };
    let (output, stdout) = pipe(user)?;
    let (errors, stderr) = pipe(user)?;
    Ok((Theirs { stdin, stdout, stderr }, Ours::Pipes { input, output: Some(output), errors: Some(errors) }))
}

/// A pipe that `user` may open again by its name below `/proc`, as in `echo > /dev/stdout`.
fn pipe(user: (u32, u32)) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    if rustix::process::geteuid().is_root() {
        rustix::fs::fchown(&write, Some(Uid::from_raw(user.0)), Some(Gid::from_raw(user.1)))?;
    }
    Ok((read, write))
}

/// Makes reads and writes return at once.
pub(crate) fn unblock(end: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(end)?;
    Ok(rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK)?)
}
