//! The signals that a program does not handle.
//!
//! They would end it at once, and with it, without a word, everybody else in its container, since nobody outlives its
//! first process. So these are told before: a shell that waits for a server would take the server with it. When nobody
//! else is left, the program has the signal too.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use flynn_runtime::shim::ProcessId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::init;

/// A program that waits for another process, as a shell does, has so long after that one's end to act on it.
const GRACE: Duration = Duration::from_millis(200);

/// So often others are told: those that are there, and those that these or the program started meanwhile. A shell that starts its next command over and over is ended with it.
const ROUNDS: u32 = 3;

/// A signal on its way through a container.
pub(crate) struct Ending {
    /// The first process, which passes on what it gets to the program.
    init: Pid,
    /// The number of the program, which may be out of date. It is looked at and never signalled.
    program: u32,
    signal: Signal,
    rounds: u32,
    /// Who was told and has not ended.
    told: Vec<ProcessId>,
    /// One of them, to be woken by its end.
    watched: Option<OwnedFd>,
    /// Since when there is nobody but the program.
    alone: Option<Duration>,
}

impl Ending {
    /// None if the program takes the signal itself.
    pub(crate) fn begin(init: Pid, signal: Signal) -> io::Result<Option<Self>> {
        let inside = members(init)?;
        let Some(program) = inside.into_iter().find(|pid| number(*pid) == Some(init::PROGRAM)) else {
            return Ok(None);
        };
        let ending = Self { init, program, signal, rounds: 0, told: Vec::new(), watched: None, alone: None };
        Ok(is_unhandled(program, signal)?.then_some(ending))
    }

    /// Goes on as far as can be gone without waiting. False when there is nothing more to do, because the
    /// program has the signal.
    pub(crate) fn advance(&mut self, now: Duration) -> io::Result<bool> {
        if self.watched.as_ref().is_some_and(|one| !has_ended(one)) {
            return Ok(true);
        }
        self.watched = None;
        self.told.retain(|one| one.is_alive().unwrap_or(true));
        // Not before all are gone: a program that is ending may run others to clean up.
        if self.told.is_empty() && !self.next(now)? {
            return Ok(false);
        }
        // Without it the loop looks from time to time.
        let first = self.told.first();
        self.watched = first.and_then(|one| pin(one.pid).filter(|_| one.is_alive().unwrap_or(false)));
        Ok(true)
    }

    /// Does what follows when all who were told are gone.
    fn next(&mut self, now: Duration) -> io::Result<bool> {
        if is_unhandled(self.program, self.signal)? {
            let mut others = members(self.init)?;
            others.retain(|pid| *pid != self.program);
            if others.is_empty() {
                let since = *self.alone.get_or_insert(now);
                if self.rounds > 0 && now.saturating_sub(since) < GRACE {
                    return Ok(true);
                }
            } else if self.rounds < ROUNDS {
                self.alone = None;
                self.rounds += 1;
                self.told = others.into_iter().filter_map(|pid| tell(self.init, pid, self.signal)).collect();
                return Ok(true);
            }
        }
        // Not reaped yet, so the number is still its own.
        kill(self.init, self.signal)?;
        Ok(false)
    }

    /// What to wait for.
    pub(crate) fn poll(&self) -> Option<BorrowedFd<'_>> {
        self.watched.as_ref().map(AsFd::as_fd)
    }

    /// Whether nothing wakes the loop when this can go on.
    pub(crate) fn is_restless(&self) -> bool {
        self.watched.is_none()
    }
}

/// Whether this is one of the signals that ask a process to end.
pub(crate) fn asks_to_end(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP | Signal::SIGQUIT)
}

/// Whether this signal would end the process: its action is the default one, and it is not kept for a program that
/// waits for signals instead of handling them.
fn is_unhandled(pid: u32, signal: Signal) -> io::Result<bool> {
    let is_default = || io::Result::Ok(is_default(&fs::read_to_string(format!("/proc/{pid}/status"))?, signal));
    if !is_default()? {
        return Ok(false);
    }
    // While a process waits for a signal, the kernel hides that it is blocked.
    let call = fs::read_to_string(format!("/proc/{pid}/syscall"))?;
    let waits = call.split_ascii_whitespace().next() == Some(&nix::libc::SYS_rt_sigtimedwait.to_string());
    // It may have stopped waiting between the two looks.
    Ok(!waits && is_default()?)
}

/// Neither handled nor ignored nor blocked, says the text of a `status` file. False if it does not say.
fn is_default(status: &str, signal: Signal) -> bool {
    let bit = 1u64 << (signal as i32 - 1);
    ["SigCgt:", "SigIgn:", "SigBlk:"].into_iter().all(|name| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & bit == 0)
    })
}

/// The processes that are in the container beside its first. The numbers may be out of date.
fn members(init: Pid) -> io::Result<Vec<u32>> {
    let own = init.as_raw().cast_unsigned();
    let inside = namespace(own)?;
    if inside == namespace(std::process::id())? {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "the container has no processes of its own"));
    }
    let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_other = |pid: &u32| *pid != own && namespace(*pid).is_ok_and(|found| found == inside);
    // The dead that nobody has reaped are no more than a number.
    Ok(pids.filter(is_other).filter(|pid| matches!(ProcessId::of(*pid), Ok(Some(_)))).collect())
}

/// Sends the signal to a process of the container. None if there is no such process any more.
fn tell(init: Pid, pid: u32, signal: Signal) -> Option<ProcessId> {
    // It is pinned before it is looked at, so that the one checked is the one that is told.
    let process = pin(pid)?;
    let id = ProcessId::of(pid).ok()??;
    let inside = namespace(init.as_raw().cast_unsigned()).ok()?;
    let number = rustix::process::Signal::from_named_raw(signal as i32)?;
    let is_inside = namespace(pid).is_ok_and(|found| found == inside);
    (is_inside && pidfd_send_signal(&process, number).is_ok()).then_some(id)
}

/// The number that a process has in its own PID namespace.
fn number(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().next_back()?.parse().ok()
}

/// The name of the PID namespace that a process is in.
fn namespace(pid: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid"))
}

fn pin(pid: u32) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn has_ended(process: &OwnedFd) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // An interrupted look is repeated with the next turn of the loop.
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a failed expectation ends the test, in real time")]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use nix::sys::signal::SigSet;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    fn until(condition: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn masks_are_read() {
        let status = |caught: &str, ignored: &str, blocked: &str| {
            format!("Name:\tx\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n")
        };
        let (none, term, int) = ("0000000000000000", "0000000000004000", "0000000000000002");
        assert!(is_default(&status(none, none, none), Signal::SIGTERM));
        assert!(is_default(&status(int, int, int), Signal::SIGTERM));
        for text in [status(term, none, none), status(none, term, none), status(none, none, term)] {
            assert!(!is_default(&text, Signal::SIGTERM));
            assert!(is_default(&text, Signal::SIGINT));
        }
        assert!(!is_default("Name:\tx\n", Signal::SIGTERM));
    }

    #[test]
    fn what_a_shell_does_with_a_signal_is_seen() {
        for (trap, unhandled) in [("true", true), ("trap '' TERM", false), ("trap : TERM", false)] {
            let mut shell = Command::new("/bin/busybox")
                .args(["sh", "-c", &format!("{trap}; echo ready; read line; exit 0")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(is_unhandled(shell.id(), Signal::SIGTERM).unwrap(), unhandled, "{trap}");
            assert!(is_unhandled(shell.id(), Signal::SIGHUP).unwrap());
            drop(shell.stdin.take());
            assert!(shell.wait().unwrap().success());
        }
    }

    /// The kernel shows neither that it is handled nor that it is blocked.
    #[test]
    fn a_process_that_waits_for_a_signal_takes_it() {
        // SAFETY: the child makes system calls alone.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let mut mask = SigSet::empty();
                mask.add(Signal::SIGTERM);
                let taken = mask.thread_block().and_then(|()| mask.wait()).is_ok();
                // SAFETY: it ends without running anything of the parent's.
                unsafe { nix::libc::_exit(if taken { 42 } else { 1 }) }
            }
            ForkResult::Parent { child } => {
                let waits = format!("{} ", nix::libc::SYS_rt_sigtimedwait);
                until(|| fs::read_to_string(format!("/proc/{child}/syscall")).unwrap().starts_with(&waits));
                assert!(!is_unhandled(child.as_raw().cast_unsigned(), Signal::SIGTERM).unwrap());
                kill(child, Signal::SIGTERM).unwrap();
                assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 42));
            }
        }
    }

    #[test]
    fn nobody_is_told_without_a_namespace() {
        assert!(members(Pid::this()).is_err());
    }
}
