use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::layout::{Layout, stamp};
use crate::local::place::InPlace;
use crate::port::Blob;
use crate::time::Clock;
use crate::value::Digest;

/// Content on its way in.
pub(super) struct Incoming {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    bytes: u64,
    /// Whether nothing lies at the path any more.
    settled: bool,
}

impl Incoming {
    pub(super) fn create(layout: &Layout) -> io::Result<Self> {
        loop {
            let path = layout.incoming().join(Uuid::new_v4().simple().to_string());
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).at(&path)?;
            let mut created = Self { file, path, hasher: Sha256::new(), bytes: 0, settled: false };
            let locked = created.file.lock().and_then(|()| created.file.metadata()).at(&created.path);
            match locked {
                Ok(metadata) if metadata.nlink() > 0 => return Ok(created),
                // A sweep came before the lock and took it for one whose writer is dead.
                Ok(_) => created.settled = true,
                Err(error) => {
                    created.discard();
                    return Err(error);
                }
            }
        }
    }

    /// Adds to the content. After an error nothing of it is left.
    pub(super) fn append(mut self, chunk: &[u8]) -> io::Result<Self> {
        if let Err(error) = self.file.write_all(chunk).at(&self.path) {
            self.discard();
            return Err(error);
        }
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
        Ok(self)
    }

    /// The digest of the content so far.
    pub(super) fn digest(&self) -> Digest {
        Digest::from_bytes(self.hasher.clone().finalize().into())
    }

    /// Makes the content visible and returns once it is durable.
    pub(super) fn publish(mut self, layout: &Layout, clock: &dyn Clock) -> io::Result<Blob> {
        let published = self.settle(layout, clock);
        self.discard();
        published
    }

    fn settle(&mut self, layout: &Layout, clock: &dyn Clock) -> io::Result<Blob> {
        let digest = self.digest();
        let (place, shard) = (layout.place(digest), layout.shard(digest));
        let written_at = clock.now();
        stamp(&self.file, written_at).at(&self.path)?;
        self.file.sync_all().at(&self.path)?;

        let directory = layout.lock(digest)?;
        let put_at = if layout.find(digest)?.is_some_and(|there| there.bytes == self.bytes) {
            let there = File::open(&place).at(&place)?;
            let now = clock.now();
            stamp(&there, now).at(&place)?;
            there.sync_all().at(&place)?;
            now
        } else {
            fs::rename(&self.path, &place).at(&place)?;
            self.settled = true;
            written_at
        };
        // Also for what was there: whoever renamed it may have died before this step.
        directory.sync_all().at(&shard)?;
        Ok(Blob { digest, bytes: self.bytes, put_at })
    }

    /// Removes what was written, unless it is published. Should that fail, the next sweep tries again.
    pub(super) fn discard(mut self) {
        if !self.settled {
            self.settled = true;
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Incoming {
    /// A put that is dropped ends here, on a thread that must not block: removing much takes long.
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let abandoned = Abandoned { path: std::mem::take(&mut self.path), _open: self.file.try_clone() };
        if let Ok(runtime) = Handle::try_current() {
            // A runtime does not end before its blocking threads do.
            runtime.spawn_blocking(move || drop(abandoned));
        }
    }
}

/// Removes a file when it is dropped, wherever that happens.
struct Abandoned {
    path: PathBuf,
    /// Whoever closes it last does the work of freeing its space.
    _open: io::Result<File>,
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the files whose writers are dead.
pub(super) fn sweep(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.incoming()).at(layout.incoming())? {
        let entry = entry.at(layout.incoming())?;
        let ours = entry.file_name().to_str().is_some_and(|name| Uuid::try_parse(name).is_ok());
        if !ours || !entry.file_type().at(&entry.path())?.is_file() {
            continue;
        }
        match remove_if_abandoned(&entry.path()) {
            // Its writer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done.at(&entry.path())?,
        }
    }
    Ok(())
}

fn remove_if_abandoned(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) => fs::remove_file(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
