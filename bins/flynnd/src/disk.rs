//! The data disk when others have filled it: said plainly, and survived.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use flynn_core::DiskFull;
use flynn_core::disk::Space;
use flynn_core::server::api::Readiness;
use flynn_instance::Layout;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::closing::Closing;

/// With less than this free, nothing new is taken in; on a small disk, with less than a fiftieth of it.
const LEAST: u64 = 64 << 20;
/// What is held back. Without some room a store cannot be opened, and the end of whoever filled the disk cannot be
/// entered into it.
const BALLAST: u64 = 32 << 20;
/// With less than this free, half of what is held back is given up.
const NOTHING: u64 = 1 << 20;
const OFTEN: Duration = Duration::from_secs(1);

/// The data disk of an instance.
#[derive(Debug, Clone)]
pub(crate) struct DataDisk {
    data: PathBuf,
    ballast: PathBuf,
}

impl DataDisk {
    pub(crate) fn of(layout: &Layout) -> Self {
        Self { data: layout.data().to_owned(), ballast: layout.ballast() }
    }

    /// What is left of it.
    pub(crate) fn space(&self) -> io::Result<Space> {
        Space::of(&self.data)
    }

    /// Gives up half of the ballast that is left if the disk is full to the brim.
    pub(crate) fn make_room(&self) -> io::Result<()> {
        if self.space()?.free >= NOTHING {
            return Ok(());
        }
        match OpenOptions::new().write(true).open(&self.ballast) {
            Ok(file) => file.set_len(file.metadata()?.len() / 2),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Why nothing new is taken in, if that is so.
    pub(crate) fn problem(&self) -> io::Result<Option<String>> {
        let space = self.space()?;
        Ok(space.shortage(least(space)).map(|shortage| shortage.to_string()))
    }

    /// Says what is wrong with the disk as long as it is, and takes ballast when there is room, until the end of
    /// service.
    pub(crate) async fn watch(self, readiness: Readiness, closing: Closing) {
        // Once each time the disk fills up: who fills it would only take the rest as well.
        let mut has_made_room = false;
        loop {
            let (disk, said) = (self.clone(), readiness.clone());
            let look = move || {
                let looked = disk.look(&said, &mut has_made_room);
                (looked, has_made_room)
            };
            match tokio::task::spawn_blocking(look).await {
                Ok((looked, made_room)) => {
                    has_made_room = made_room;
                    if let Err(error) = looked {
                        tracing::warn!(%error, data = %self.data.display(), "the data disk is not known");
                    }
                }
                Err(_) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(OFTEN) => {}
                () = closing.begun() => return,
            }
        }
    }

    fn look(&self, readiness: &Readiness, has_made_room: &mut bool) -> io::Result<()> {
        let (before, problem) = (readiness.disk_problem(), self.problem()?);
        match (&before, &problem) {
            (None, Some(problem)) => self.complain(problem),
            (Some(_), None) => tracing::info!("the data disk has room again"),
            _ => {}
        }
        let is_full = problem.is_some();
        readiness.set_disk_problem(problem);
        if !is_full {
            *has_made_room = false;
            return self.take_ballast();
        }
        if !*has_made_room && self.space()?.free < NOTHING {
            *has_made_room = true;
            self.make_room()?;
        }
        Ok(())
    }

    /// Says in the log what is wrong.
    pub(crate) fn complain(&self, problem: &str) {
        let data = self.data.display();
        tracing::error!("the data disk is full: {problem}: nothing new is taken in until there is room in {data}");
    }

    fn take_ballast(&self) -> io::Result<()> {
        let is_taken = fs::symlink_metadata(&self.ballast).is_ok_and(|there| there.blocks() * 512 >= BALLAST);
        let space = self.space()?;
        if is_taken || space.free < least(space) + 2 * BALLAST {
            return Ok(());
        }
        let options = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.ballast);
        let taken = options().and_then(|file| fill(&file));
        if taken.is_err() {
            crate::socket::remove(&self.ballast)?;
        }
        taken
    }
}

fn least(space: Space) -> u64 {
    LEAST.min(space.total / 50)
}

fn fill(mut file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, BALLAST) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let block = [0x46; 64 << 10];
            (0..BALLAST / block.len() as u64).try_for_each(|_| file.write_all(&block))
        }
        done => Ok(done?),
    }
}

/// What whoever wanted something written is told, if `error` comes of a full disk.
pub(crate) fn full(error: &anyhow::Error) -> Option<&'static str> {
    let is_full = |cause: &(dyn std::error::Error + 'static)| {
        let of_system = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        cause.is::<DiskFull>() || matches!(of_system, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    };
    error.chain().any(is_full).then_some(ADVICE)
}

/// What a full disk asks for.
pub(crate) const ADVICE: &str =
    "the data disk is full: nothing was changed; make room on the machine of the control plane, then try again";

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn ballast_is_taken_once_and_holds_real_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let disk = DataDisk { data: folder.path().to_owned(), ballast: folder.path().join("ballast") };
        disk.take_ballast().unwrap();
        let first = fs::metadata(&disk.ballast).unwrap();
        assert!(first.blocks() * 512 >= BALLAST);
        disk.take_ballast().unwrap();
        assert_eq!(fs::metadata(&disk.ballast).unwrap().mtime_nsec(), first.mtime_nsec());
        disk.make_room().unwrap();
        assert!(disk.ballast.exists(), "a disk with room keeps it");
        assert_eq!(disk.problem().unwrap(), None);
    }

    #[test]
    fn a_full_disk_is_found_beneath_other_words() {
        let error = |kind| anyhow::Error::from(io::Error::from(kind)).context("store").context("push");
        assert_eq!(full(&error(io::ErrorKind::StorageFull)), Some(ADVICE));
        assert_eq!(full(&error(io::ErrorKind::PermissionDenied)), None);
        let store = Err::<(), _>(DiskFull { problem: "database or disk is full".into() }).context("commit");
        assert_eq!(full(&store.unwrap_err()), Some(ADVICE));
    }
}
