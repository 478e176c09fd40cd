//! Deaths at named points, for tests of what is left then.
//!
//! A process that is given a folder dies, as by `kill -9`, at the points that the file of its program in there names,
//! one after the other, over as many lives as there are points. Each lies before or after an [`Effect`]: something that
//! the process does to the world through a port. [`Watched`] goes around the port. Without a folder nothing is looked
//! at.

mod effect;
mod ports;

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};

pub use effect::Effect;
pub use ports::{Watched, WatchedRuntime};

/// A place to die at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CrashPoint {
    /// Nothing was done yet.
    Before(Effect),
    /// It was done, and nobody was told.
    After(Effect),
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(effect) => write!(f, "before {effect}"),
            Self::After(effect) => write!(f, "after {effect}"),
        }
    }
}

/// The points that a process dies at. Cloning shares them; the default are none.
#[derive(Debug, Clone, Default)]
pub struct CrashPoints {
    plan: Option<Arc<Plan>>,
}

#[derive(Debug)]
struct Plan {
    file: PathBuf,
    /// One look at the file at a time.
    turn: Mutex<()>,
}

impl CrashPoints {
    /// Those of `program` in `folder`; none without a folder.
    pub fn of(program: &str, folder: Option<&Path>) -> Self {
        let plan = folder.map(|folder| Arc::new(Plan { file: folder.join(program), turn: Mutex::default() }));
        Self { plan }
    }

    /// Whether there is anything to look at.
    pub fn are_watched(&self) -> bool {
        self.plan.is_some()
    }

    /// Dies here, if this is the point that is named next.
    pub fn reach(&self, point: CrashPoint) {
        let Some(plan) = &self.plan else { return };
        let _turn = plan.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match plan.take(point) {
            Ok(false) => {}
            Ok(true) => {
                let _ = kill_process(getpid(), Signal::KILL);
                // The signal may reach another thread first.
                loop {
                    std::thread::park();
                }
            }
            Err(error) => tracing::error!(%error, file = %plan.file.display(), "the crash points cannot be used"),
        }
    }
}

impl Plan {
    /// Whether `point` was the next one. It is not any more, so that the next process goes on.
    fn take(&self, point: CrashPoint) -> io::Result<bool> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            text => text?,
        };
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        if first != point.to_string() {
            return Ok(false);
        }
        // Its owner may be another user, so that it stays the file it is.
        let mut file = OpenOptions::new().write(true).truncate(true).open(&self.file)?;
        file.write_all(rest.as_bytes())?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_taken_in_their_order_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (CrashPoint::Before(Effect::JobUp), CrashPoint::After(Effect::BlobPut));
        let points = CrashPoints::of("a", Some(folder.path()));
        let plan = points.plan.clone().unwrap();
        assert!(!plan.take(before).unwrap(), "there is no file");
        fs::write(folder.path().join("a"), format!("{before}\n{after}\n")).unwrap();
        assert!(!plan.take(after).unwrap());
        assert!(plan.take(before).unwrap());
        assert!(!plan.take(before).unwrap());
        assert!(plan.take(after).unwrap());
        assert!(!plan.take(after).unwrap());
        // Neither of these dies.
        points.reach(before);
        CrashPoints::of("a", None).reach(before);
    }
}
