//! The children of this process: those it made and those it inherited as a subreaper.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use flynn_runtime::shim::WireExit;

/// A child that has ended.
pub(crate) struct Ended {
    pub(crate) pid: Pid,
    pub(crate) exit: WireExit,
}

/// Takes in a child that has ended; none if none has.
pub(crate) fn reap() -> Option<Ended> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => return Some(Ended { pid, exit: WireExit::Code(code) }),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                return Some(Ended { pid, exit: WireExit::Signal(signal as i32) });
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            Ok(_) | Err(_) => {}
        }
    }
}

/// The children there are, zombies included. A child's number is not used again before it is reaped, and
/// only this process reaps it, so that a number from here may be signalled.
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let parent = stat.rfind(')').and_then(|end| stat[end + 1..].split_ascii_whitespace().nth(1));
        if parent == Some(own.as_str()) {
            children.push(Pid::from_raw(pid));
        }
    }
    Ok(children)
}

/// Kills all children and says whether there were any. Theirs come here when they are dead.
pub(crate) fn kill_children() -> io::Result<bool> {
    let children = children()?;
    for child in &children {
        // It may have become a zombie, which takes signals without effect.
        let _ = kill(*child, Signal::SIGKILL);
    }
    Ok(!children.is_empty())
}
