use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use flynn_runtime::shim::{ProcessId, boot_id};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process that cannot be mistaken for another one, also not after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number and when it was started.
    pub process: ProcessId,
    /// The boot of the machine that it belongs to.
    pub boot: String,
}

impl Identity {
    /// The calling process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn own() -> io::Result<Self> {
        let process = ProcessId::of(std::process::id())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { process, boot: boot_id()? })
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn is_alive(&self) -> io::Result<bool> {
        Ok(self.boot == boot_id()? && self.process.is_alive()?)
    }

    /// The process itself, pinned; none if it has ended.
    ///
    /// # Errors
    /// The operating system refuses.
    fn pin(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let pinned = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pinned) => pinned,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // What is pinned stays what it is, so it is looked at now.
        Ok(self.is_alive()?.then_some(pinned))
    }

    /// Asks it to end (TERM). One that has ended is no error.
    ///
    /// # Errors
    /// It may not be signalled by the caller.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Kills it. One that has ended is no error.
    ///
    /// # Errors
    /// It may not be signalled by the caller.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.pin()?.map(|pinned| pidfd_send_signal(&pinned, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Returns when it has ended, or up to `often` later. It need not be a child of this process.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub async fn ended(&self, often: Duration) -> io::Result<()> {
        while self.is_alive()? {
            tokio::time::sleep(often).await;
        }
        Ok(())
    }

    /// Asks it to end, and kills it if it has not ended after `patience`. Answers whether it ended by itself.
    ///
    /// # Errors
    /// It may not be signalled by the caller.
    pub async fn end(&self, patience: Duration) -> io::Result<bool> {
        const OFTEN: Duration = Duration::from_millis(20);
        self.terminate()?;
        if let Ok(ended) = tokio::time::timeout(patience, self.ended(OFTEN)).await {
            return ended.map(|()| true);
        }
        self.kill()?;
        self.ended(OFTEN).await?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_does_not_hear_is_killed() {
        let start = |script: &str| {
            let child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let process = ProcessId::of(child.id()).unwrap().unwrap();
            (child, Identity { process, boot: boot_id().unwrap() })
        };
        let (mut child, identity) = start("exec sleep 60");
        assert!(identity.is_alive().unwrap());
        assert!(identity.end(Duration::from_secs(10)).await.unwrap());
        child.wait().unwrap();
        assert!(!identity.is_alive().unwrap());
        assert!(identity.end(Duration::ZERO).await.unwrap(), "one that has ended is no error");

        let (mut child, identity) = start("trap '' TERM; while :; do sleep 0.05; done");
        let ignores_term = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
            let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
            u64::from_str_radix(ignored.trim(), 16).unwrap() & (1 << 14) != 0
        };
        while !ignores_term() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!identity.end(Duration::from_millis(50)).await.unwrap());
        child.wait().unwrap();
        let reused = Identity { boot: "another".into(), ..Identity::own().unwrap() };
        reused.kill().unwrap();
        assert!(!reused.is_alive().unwrap());
    }
}
