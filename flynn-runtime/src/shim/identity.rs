use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for a later one with the same number, within one boot of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since the boot.
    pub start: u64,
}

impl ProcessId {
    /// The process that has this number at present; none if there is none or it is a zombie.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<Option<Self>> {
        let stat = match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match parse_stat(&stat) {
            Some(('Z' | 'X', _)) => Ok(None),
            Some((_, start)) => Ok(Some(Self { pid, start })),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not understood"))),
        }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn is_alive(self) -> io::Result<bool> {
        Ok(Self::of(self.pid)? == Some(self))
    }

    /// Kills exactly this process. One that has ended is no error.
    ///
    /// # Errors
    /// It may not be killed by the caller.
    pub fn kill(self) -> io::Result<()> {
        self.kill_by(|_, process| pidfd_send_signal(process, Signal::KILL))
    }

    /// Kills this process and those of the group that it leads. One that has ended is no error.
    ///
    /// # Errors
    /// They may not be killed by the caller.
    pub fn kill_group(self) -> io::Result<()> {
        self.kill_by(|leader, _| kill_process_group(leader, Signal::KILL))
    }

    fn kill_by(self, kill: impl FnOnce(Pid, &OwnedFd) -> rustix::io::Result<()>) -> io::Result<()> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        // The descriptor pins the process before it is looked at, so that the one checked is the one killed.
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !self.is_alive()? {
            return Ok(());
        }
        match kill(pid, &process) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The name of this boot of the machine. What was recorded under another name no longer runs.
///
/// # Errors
/// `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// State and start time. The name in the second field may hold anything, so fields are counted from its end.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_and_blanks_are_read_over() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        for name in ["sh", "a) b", ") R 1 2", "(((", ""] {
            assert_eq!(parse_stat(&format!("7 ({name}) {tail}")), Some(('S', 4242)), "{name}");
        }
        assert_eq!(parse_stat("7 (sh"), None);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = ProcessId::of(std::process::id()).unwrap().unwrap();
        assert!(own.is_alive().unwrap());
        let other = ProcessId { start: own.start + 1, ..own };
        assert!(!other.is_alive().unwrap());
        other.kill().unwrap();
        assert_eq!(ProcessId::of(u32::MAX).unwrap(), None);
    }
}
