//! A job as a plain process of the node.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use flynn_runtime::shim::PlainProcess;
use nix::unistd::Pid;

use crate::streams::{Ours, Theirs, pipes};

/// What a process is to be given as its streams.
#[derive(Debug)]
pub(crate) enum Ends {
    Pipes(Theirs),
    Terminal(OwnedFd),
}

/// Makes streams for a process.
pub(crate) fn ends(terminal: bool, interactive: bool, user: (u32, u32)) -> io::Result<(Ends, Ours)> {
    if !terminal {
        let (theirs, ours) = pipes(interactive, user)?;
        return Ok((Ends::Pipes(theirs), ours));
    }
    let pair = nix::pty::openpty(None, None)?;
    for end in [&pair.master, &pair.slave] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((Ends::Terminal(pair.slave), Ours::Terminal(Some(pair.master))))
}

/// Runs a process in a session of its own. The error says why its program could not be run.
pub(crate) fn spawn(process: &PlainProcess, ends: Ends) -> io::Result<Pid> {
    let (program, arguments) =
        process.command.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program"))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&process.env).current_dir(&process.directory);
    if let Some((user, group)) = process.user {
        command.uid(user).gid(group);
    }
    let terminal = match ends {
        Ends::Pipes(Theirs { stdin, stdout, stderr }) => {
            command.stdin(stdin).stdout(stdout).stderr(stderr);
            false
        }
        Ends::Terminal(slave) => {
            let copy = |end: &OwnedFd| end.as_fd().try_clone_to_owned();
            command.stdin(Stdio::from(copy(&slave)?)).stdout(Stdio::from(copy(&slave)?)).stderr(Stdio::from(slave));
            true
        }
    };
    let shim = rustix::process::getpid();
    let session = move || {
        // Should the shim die, whoever sweeps after it finds no process that is only about to appear.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        if rustix::process::getppid() != Some(shim) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        rustix::process::setsid()?;
        if terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec this makes a few system calls and touches no memory of others; besides,
    // this process has one thread.
    unsafe { command.pre_exec(session) };
    // The child is reaped with all others, by its number.
    let child = command.spawn()?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}
