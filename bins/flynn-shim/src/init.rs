//! The first process of a container, which is there so that the program is not.
//!
//! The kernel keeps every signal that is not handled from the first process of a PID namespace, also one that it
//! sends to itself, and leaves to it the dead whom nobody else reaps. Few programs are made for that. So the first
//! process is a fork of the shim's: it passes signals on, reaps, and says how the program ended. It never runs a
//! program, has no stream and no descriptor but the one to the shim, and cannot be looked into from inside.

use std::os::fd::RawFd;

use flynn_runtime::shim::WireExit;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use rustix::process::{DumpableBehavior, WaitOptions, set_dumpable_behavior};

/// The number of the program in its container, since it is the first that anybody forks there.
pub(crate) const PROGRAM: u32 = 2;

/// Forks. It returns in the child, which leads a session of its own, that of the terminal if there is one. The parent
/// stays what it is until the child has ended, and writes how to `status`.
pub(crate) fn part(status: RawFd, terminal: bool) -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    if terminal {
        leave_terminal()?;
    }
    // SAFETY: this process has one thread, so the child finds every lock free.
    match unsafe { fork() }? {
        ForkResult::Child => {
            setsid()?;
            if terminal {
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(errno)?;
            }
            Ok(())
        }
        ForkResult::Parent { child } => watch(child, status),
    }
}

/// Makes the terminal free for the session of the child.
fn leave_terminal() -> nix::Result<()> {
    // SAFETY: the request takes no argument, and standard input is open.
    nix::errno::Errno::result(unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) })?;
    // Those in front of the terminal are told that it is gone, which is this process alone.
    for signal in [Signal::SIGHUP, Signal::SIGCONT] {
        for action in [SigHandler::SigIgn, SigHandler::SigDfl] {
            // SAFETY: neither action runs code of this process.
            unsafe { sigaction(signal, &SigAction::new(action, SaFlags::empty(), SigSet::empty())) }?;
        }
    }
    Ok(())
}

fn watch(program: Pid, status: RawFd) -> ! {
    const STATUS: RawFd = 3;
    // What cannot be done here does not keep the program from running.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = rustix::thread::set_name(c"flynn-init");
    // SAFETY: this process never returns to who might use a descriptor, and a program's streams end with the program.
    unsafe {
        libc::dup2(status, STATUS);
        for stream in 0..STATUS {
            libc::close(stream);
        }
        libc::syscall(libc::SYS_close_range, STATUS + 1, libc::c_uint::MAX, 0);
    }
    let all = SigSet::all();
    loop {
        // SAFETY: the set is valid, and nobody asks for more than the number.
        let signal = unsafe { libc::sigwaitinfo(all.as_ref(), std::ptr::null_mut()) };
        if signal != libc::SIGCHLD {
            // SAFETY: nobody but this process reaps the program, so that the number is its own.
            unsafe { libc::kill(program.as_raw(), signal) };
            continue;
        }
        if let Some((exit, code)) = reap(program) {
            // SAFETY: the bytes are there, and the process ends without running anything that the shim left to run.
            unsafe {
                libc::write(STATUS, exit.as_ptr().cast(), exit.len());
                libc::_exit(code);
            }
        }
    }
}

/// Takes in all who have ended. If the program is among them, how it ended.
fn reap(program: Pid) -> Option<([u8; 5], i32)> {
    let mut end = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == program.as_raw() {
            let code = status.exit_status().map(|code| (encode(b'c', code), code));
            end = code.or_else(|| status.terminating_signal().map(|signal| (encode(b's', signal), 128 + signal)));
        }
    }
    end
}

fn encode(kind: u8, number: i32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [kind, a, b, c, d]
}

/// What [`part`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Option<WireExit> {
    let (kind, number) = bytes.split_first()?;
    let number = i32::from_be_bytes(number.try_into().ok()?);
    match kind {
        b'c' => Some(WireExit::Code(number)),
        b's' => Some(WireExit::Signal(number)),
        _ => None,
    }
}

fn errno(error: rustix::io::Errno) -> nix::errno::Errno {
    nix::errno::Errno::from_raw(error.raw_os_error())
}
