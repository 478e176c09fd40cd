use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flynn_core::JobId;
use flynn_core::port::ContainerState;
use rustix::fs::FlockOperation;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::shim::{ExitRecord, Files, LostRecord, Phase, ProcessId, ShimRecord, boot_id, read_json, write_json};

/// The directory of one runtime.
///
/// `owner` holds its mark, `jobs` a directory for each job, `live` the locks of the shims, `gone` what is
/// being deleted.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    root: PathBuf,
}

/// What the files say about a job.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    /// A shim is getting it ready.
    Starting,
    Container(ContainerState),
    /// Its shim is dead and nobody has looked after it yet.
    Orphan(Option<ShimRecord>),
}

/// Whether shims are kept away from a job.
#[derive(Debug)]
pub(crate) enum Seized {
    /// For as long as this lives.
    Held { _lock: File },
    /// A shim has the job.
    ByShim,
    /// There is no such job.
    Nothing,
}

impl Place {
    /// Takes a directory for `owner`, or comes back to it.
    pub(crate) fn open(root: &Path, owner: &str) -> io::Result<Self> {
        let place = Self { root: std::path::absolute(root)? };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&place.root)?;
        for name in ["jobs", "live", "gone"] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(place.root.join(name))?;
        }
        let mark = place.root.join("owner");
        match File::options().write(true).create_new(true).mode(0o600).open(&mark) {
            Ok(mut file) => file.write_all(owner.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::read_to_string(&mark)?;
                // An empty mark is that of an owner who died while writing it.
                if found.is_empty() {
                    fs::write(&mark, owner)?;
                } else if found != owner {
                    let message = format!("{} belongs to `{found}`", place.root.display());
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
                }
            }
            Err(error) => return Err(error),
        }
        for entry in fs::read_dir(place.root.join("gone"))? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(place)
    }

    pub(crate) fn files(&self, job: JobId) -> Files {
        Files::new(self.root.join("jobs").join(job.to_string()))
    }

    pub(crate) fn locks(&self) -> PathBuf {
        Self::locks_in(&self.root)
    }

    /// Where the locks of a runtime's directory are.
    pub(crate) fn locks_in(root: &Path) -> PathBuf {
        root.join("live")
    }

    pub(crate) fn lock(&self, job: JobId) -> PathBuf {
        self.locks().join(job.to_string())
    }

    pub(crate) fn jobs(&self) -> io::Result<Vec<JobId>> {
        jobs_in(&self.root.join("jobs"))
    }

    /// Makes the lock and the directory of a job. The lock is there whenever the directory is.
    pub(crate) fn make(&self, job: JobId) -> io::Result<Files> {
        let files = self.files(job);
        File::options().write(true).create(true).truncate(false).mode(0o600).open(self.lock(job))?;
        fs::DirBuilder::new().mode(0o700).create(&files.directory)?;
        Ok(files)
    }

    /// Looks at a job.
    pub(crate) fn look(&self, job: JobId) -> io::Result<Found> {
        let files = self.files(job);
        if !files.directory.exists() {
            return Ok(Found::Nothing);
        }
        if let Some(end) = ended(&files)? {
            return Ok(Found::Container(end));
        }
        let supervisor = self.supervisor(job)?;
        let record: Option<ShimRecord> = read_json(&files.shim())?;
        match (supervisor, record) {
            (Some(_), None) => Ok(Found::Starting),
            (Some(supervisor), Some(record)) if supervisor == record.shim && record.boot == boot_id()? => {
                Ok(Found::Container(match record.phase {
                    Phase::Created => ContainerState::Created,
                    Phase::Running(since) => ContainerState::Running { since },
                }))
            }
            // It may have ended, and its shim with it, since the first look.
            (_, record) => Ok(ended(&files)?.map_or(Found::Orphan(record), Found::Container)),
        }
    }

    /// The process that holds the lock of the job, as the kernel knows it.
    pub(crate) fn supervisor(&self, job: JobId) -> io::Result<Option<ProcessId>> {
        let lock = match File::open(self.lock(job)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let asked = Flock::from(FlockType::WriteLock);
        match fcntl_getlk(&lock, &asked)?.and_then(|held| held.pid) {
            Some(pid) => ProcessId::of(pid.as_raw_nonzero().get().cast_unsigned()),
            None => Ok(None),
        }
    }

    /// Keeps shims away from the job for as long as the result lives.
    pub(crate) fn seize(&self, job: JobId) -> io::Result<Seized> {
        let lock = match File::options().read(true).write(true).open(self.lock(job)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seized::Nothing),
            Err(error) => return Err(error),
        };
        match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Seized::Held { _lock: lock }),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(Seized::ByShim),
            Err(error) => Err(error.into()),
        }
    }

    /// The jobs that have a lock.
    pub(crate) fn locked(&self) -> io::Result<Vec<JobId>> {
        jobs_in(&self.locks())
    }

    /// Deletes the lock of a job of which nothing else is left, unless somebody holds it. Nobody may be making the job.
    pub(crate) fn delete_stray_lock(&self, job: JobId) -> io::Result<()> {
        match self.seize(job)? {
            Seized::Held { .. } if !self.files(job).directory.exists() => present(fs::remove_file(self.lock(job))),
            _ => Ok(()),
        }
    }

    /// Records that a job is lost.
    pub(crate) fn lose(&self, job: JobId, reason: String) -> io::Result<()> {
        write_json(&self.files(job).lost(), &LostRecord { reason })
    }

    /// Deletes all files of a job. It is listed until nothing but its records is left.
    pub(crate) fn delete(&self, job: JobId) -> io::Result<()> {
        let files = self.files(job);
        let records = [files.shim(), files.exit(), files.lost()];
        let entries = match fs::read_dir(&files.directory) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![],
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(path)?;
            } else if !records.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        let gone = self.root.join("gone").join(job.to_string());
        present(fs::remove_dir_all(&gone))?;
        present(fs::rename(&files.directory, &gone))?;
        present(fs::remove_dir_all(gone))?;
        present(fs::remove_file(self.lock(job)))
    }
}

/// The jobs that entries of a directory are named after.
fn jobs_in(directory: &Path) -> io::Result<Vec<JobId>> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(directory)? {
        jobs.extend(entry?.file_name().to_str().and_then(|name| name.parse::<JobId>().ok()));
    }
    jobs.sort_unstable();
    Ok(jobs)
}

fn ended(files: &Files) -> io::Result<Option<ContainerState>> {
    if let Some(ExitRecord { exit, at, .. }) = read_json(&files.exit())? {
        return Ok(Some(ContainerState::Exited { exit: exit.into(), at }));
    }
    Ok(read_json(&files.lost())?.map(|LostRecord { reason }| ContainerState::Lost { reason }))
}

fn present(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::{Ids, Timestamp};

    use super::*;
    use crate::shim::{PROTOCOL, WireExit};

    #[test]
    fn a_directory_has_one_owner() {
        let directory = tempfile::tempdir().unwrap();
        Place::open(directory.path(), "one").unwrap();
        Place::open(directory.path(), "one").unwrap();
        let error = Place::open(directory.path(), "two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    /// A record whose shim has another start time, or another boot, is that of a dead shim, even if some
    /// process has its number.
    #[test]
    fn a_bare_process_number_is_no_supervisor() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path(), "owner").unwrap();
        let job = Ids::seeded(1).next(Timestamp::EPOCH);
        assert!(matches!(place.look(job).unwrap(), Found::Nothing));
        let files = place.make(job).unwrap();
        assert!(matches!(place.look(job).unwrap(), Found::Orphan(None)));
        let own = ProcessId::of(std::process::id()).unwrap().unwrap();
        let record = ShimRecord {
            protocol: PROTOCOL,
            job,
            owner: "owner".to_owned(),
            boot: boot_id().unwrap(),
            shim: own,
            init: None,
            phase: Phase::Created,
        };
        write_json(&files.shim(), &record).unwrap();
        assert!(matches!(place.look(job).unwrap(), Found::Orphan(Some(_))));

        let exit = ExitRecord { protocol: PROTOCOL, exit: WireExit::Code(4), at: Timestamp::EPOCH };
        write_json(&files.exit(), &exit).unwrap();
        assert!(matches!(place.look(job).unwrap(), Found::Container(ContainerState::Exited { .. })));
        place.delete(job).unwrap();
        assert!(matches!(place.look(job).unwrap(), Found::Nothing));
        assert!(place.jobs().unwrap().is_empty());
        place.delete(job).unwrap();
    }

    #[test]
    fn a_lock_is_left_by_no_job_that_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path(), "owner").unwrap();
        let mut ids = Ids::seeded(1);
        let (job, cut): (JobId, JobId) = (ids.next(Timestamp::EPOCH), ids.next(Timestamp::EPOCH));
        // Whoever comes after the removal makes none.
        assert!(matches!(place.seize(job).unwrap(), Seized::Nothing));
        assert_eq!(place.locked().unwrap(), []);
        let files = place.make(job).unwrap();
        place.make(cut).unwrap();
        // The one who removed it was killed before its end.
        fs::remove_dir(place.files(cut).directory).unwrap();
        for job in place.locked().unwrap() {
            place.delete_stray_lock(job).unwrap();
        }
        assert!(files.directory.exists());
        assert_eq!(place.locked().unwrap(), [job]);
    }
}
