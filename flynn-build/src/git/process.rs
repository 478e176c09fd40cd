use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// Kills the process group of a child when it is dropped, unless the child has ended by then.
///
/// It is dropped before the child, whose number is its own only while it has not been awaited.
#[derive(Debug)]
pub(crate) struct GroupGuard {
    group: Option<Pid>,
}

impl GroupGuard {
    /// Guards a child that was started as the leader of a group of its own.
    pub(crate) fn new(child: &Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { group }
    }

    /// Kills all processes of the group.
    pub(crate) fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // It fails only if the group is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// The child is about to be awaited and will end by itself.
    pub(crate) fn disarm(&mut self) {
        self.group = None;
    }
}

impl Drop for GroupGuard {
    fn drop(&mut self) {
        self.kill();
    }
}
