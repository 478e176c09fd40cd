use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use flynn_core::JobId;

use crate::jobs::Remains;
use crate::shim::{ProcessId, ShimRecord, boot_id};

/// The variable that marks the processes of a job.
pub(crate) const MARK: &str = "FLYNN_SUPERVISED";

/// Between two looks at processes that were killed.
const PAUSE: Duration = Duration::from_millis(5);
const LOOKS: u32 = 400;

/// The mark of a job: the path of its lock, which no other job of this machine has.
pub(crate) fn mark(lock: &Path) -> String {
    lock.to_string_lossy().into_owned()
}

/// Finds what is left of a plain process by its mark.
#[derive(Debug)]
pub(crate) struct Marked {
    locks: std::path::PathBuf,
}

impl Marked {
    pub(crate) fn new(locks: std::path::PathBuf) -> Self {
        Self { locks }
    }
}

impl Remains for Marked {
    fn sweep(&self, job: JobId, record: Option<&ShimRecord>) -> io::Result<()> {
        let init = record.map(|record| (record.init, &record.boot));
        if let Some((Some(init), boot)) = init
            && *boot == boot_id()?
        {
            init.kill()?;
        }
        let mark = format!("{MARK}={}", mark(&self.locks.join(job.to_string())));
        for _ in 0..LOOKS {
            let left = marked(mark.as_bytes())?;
            if left.is_empty() {
                return Ok(());
            }
            left.into_iter().try_for_each(ProcessId::kill)?;
            std::thread::sleep(PAUSE);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "some processes of the job do not die"))
    }
}

/// The processes that were started with this variable in their environment.
fn marked(mark: &[u8]) -> io::Result<Vec<ProcessId>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // The number is pinned to one process before its environment is read, and compared when it is killed.
        let Some(process) = ProcessId::of(pid)? else {
            continue;
        };
        // What may not be read is somebody else's.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
            continue;
        };
        if environment.split(|&byte| byte == 0).any(|variable| variable == mark) {
            found.push(process);
        }
    }
    Ok(found)
}
