//! The directory of a node's images: where things lie in it, and how they come and go as a whole.
//!
//! ```text
//! lock                           held by the one process that uses it
//! boot                           the boot of the machine in which it was used last
//! documents/sha256/HEX           manifests and configurations
//! layers/sha256/HEX/layer.json   what is known of a layer; its modification time is when it was last used
//! layers/sha256/HEX/fs           the layer, unpacked
//! layers/sha256/HEX/durable      that all of it outlives a loss of power
//! layers/sha256/HEX/forgotten    that it is to go once no snapshot uses it
//! snapshots/KEY/…                see `snapshot`
//! incoming/…  gone/…             what is being made or removed; of no account
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use flynn_core::Timestamp;
use flynn_core::value::Digest;
use serde::{Deserialize, Serialize};

use crate::layer::LayerError;
use crate::shim::{boot_id, read_json};

const DOCUMENTS: &str = "documents/sha256";
const LAYERS: &str = "layers/sha256";

/// What is known of an unpacked layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// The digest of its archive without compression.
    pub(crate) diff_id: Digest,
    pub(crate) entries: u64,
    /// Of the contents of its files.
    pub(crate) bytes: u64,
    /// Whether it says what the root directory is like.
    pub(crate) has_root: bool,
}

#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    _lock: File,
    /// Held while what a snapshot uses is decided, and while layers are taken away.
    usage: Mutex<()>,
    next: AtomicU64,
}

impl Place {
    /// Takes the directory and removes what was not finished in it.
    pub(crate) fn open(root: PathBuf) -> Result<Self, LayerError> {
        let make = || -> io::Result<(PathBuf, File)> {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700);
            builder.create(&root)?;
            let root = fs::canonicalize(&root)?;
            for part in [DOCUMENTS, LAYERS, "snapshots", "incoming", "gone"] {
                builder.create(root.join(part))?;
            }
            let lock = File::options().write(true).create(true).truncate(false).open(root.join("lock"))?;
            lock.try_lock().map_err(|error| match error {
                TryLockError::WouldBlock => {
                    io::Error::new(io::ErrorKind::AddrInUse, "another process uses this directory of images")
                }
                TryLockError::Error(error) => error,
            })?;
            Ok((root, lock))
        };
        let (root, lock) = make().map_err(LayerError::disk(&root))?;
        let place = Self { root, _lock: lock, usage: Mutex::default(), next: AtomicU64::new(0) };
        place.sweep()?;
        Ok(place)
    }

    pub(crate) fn usage(&self) -> MutexGuard<'_, ()> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    fn document(&self, digest: Digest) -> PathBuf {
        self.root.join(DOCUMENTS).join(digest.hex())
    }

    pub(crate) fn layer(&self, digest: Digest) -> PathBuf {
        self.root.join(LAYERS).join(digest.hex())
    }

    /// A fresh directory for what is being made.
    pub(crate) fn incoming(&self) -> Result<PathBuf, LayerError> {
        let path = self.fresh("incoming");
        DirBuilder::new().mode(0o700).create(&path).map_err(LayerError::disk(&path))?;
        Ok(path)
    }

    fn fresh(&self, part: &str) -> PathBuf {
        // The lock keeps other processes out, and what an earlier one left is gone.
        self.root.join(part).join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Makes a directory disappear at once. The result is to be given to [`delete`](Self::delete).
    pub(crate) fn retire(&self, path: &Path) -> Result<Option<PathBuf>, LayerError> {
        let gone = self.fresh("gone");
        match fs::rename(path, &gone) {
            Ok(()) => Ok(Some(gone)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LayerError::disk(path)(error)),
        }
    }

    /// Frees the space of what was retired. Should that fail, the next opening tries again.
    pub(crate) fn delete(&self, gone: Option<PathBuf>) {
        if let Some(gone) = gone
            && let Err(error) = fs::remove_dir_all(&gone)
        {
            tracing::warn!(path = %gone.display(), %error, "something that is not needed stays on the disk");
        }
    }

    pub(crate) fn read_document(&self, digest: Digest) -> Result<Option<Vec<u8>>, LayerError> {
        let path = self.document(digest);
        match fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LayerError::disk(path)(error)),
        }
    }

    pub(crate) fn write_document(&self, digest: Digest, text: &[u8]) -> Result<(), LayerError> {
        let (path, temporary) = (self.document(digest), self.fresh("incoming"));
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).create_new(true).open(&temporary)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(self.root.join(DOCUMENTS))?.sync_all()
        };
        write().map_err(LayerError::disk(&path))
    }

    /// What is known of a layer; none if it is not there.
    pub(crate) fn look(&self, digest: Digest) -> Result<Option<LayerRecord>, LayerError> {
        let path = self.layer(digest).join("layer.json");
        read_json(&path).map_err(LayerError::disk(path))
    }

    /// Makes a directory that holds `fs` the layer of this digest, and takes the directory away if that layer is
    /// there already. It outlives a loss of power when it is [settled](Self::settle).
    pub(crate) fn publish(
        &self,
        ready: &Path,
        digest: Digest,
        record: &LayerRecord,
        now: Timestamp,
    ) -> Result<(), LayerError> {
        let publish = || -> io::Result<()> {
            let described = ready.join("layer.json");
            fs::write(&described, serde_json::to_vec(record)?)?;
            stamp(&described, now)?;
            match fs::rename(ready, self.layer(digest)) {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
                {
                    fs::remove_dir_all(ready)
                }
                renamed => renamed,
            }
        };
        publish().map_err(LayerError::disk(ready))
    }

    /// Sees to it that the layers which are here outlive a loss of power, and says how many did not before. It waits
    /// for everything that is to be written to the file system.
    pub(crate) fn settle(&self) -> Result<u64, LayerError> {
        let mut settling = Vec::new();
        for digest in digests(&self.root.join(LAYERS))? {
            let (mark, durable) = (self.layer(digest).join("settling"), self.durable(digest));
            if durable.exists() {
                continue;
            }
            match File::create(&mark) {
                Ok(_) => settling.push((mark, durable)),
                // Collected meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(LayerError::disk(mark)(error)),
            }
        }
        if settling.is_empty() {
            return Ok(0);
        }
        // One call for all files costs far less than one for each.
        let sync = || -> io::Result<()> { Ok(rustix::fs::syncfs(File::open(&self.root)?)?) };
        sync().map_err(LayerError::disk(&self.root))?;
        let mut settled = 0;
        for (mark, durable) in settling {
            // A layer that was removed and unpacked again in between has no mark.
            match fs::rename(&mark, &durable) {
                Ok(()) => settled += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(LayerError::disk(mark)(error)),
            }
        }
        Ok(settled)
    }

    fn durable(&self, digest: Digest) -> PathBuf {
        self.layer(digest).join("durable")
    }

    /// Says that a layer is to go once no snapshot uses it, or that it is not.
    pub(crate) fn set_forgotten(&self, digest: Digest, forgotten: bool) -> Result<(), LayerError> {
        let path = self.forgotten(digest);
        let done = if forgotten { File::create(&path).map(drop) } else { fs::remove_file(&path) };
        match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LayerError::disk(path)(error)),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_forgotten(&self, digest: Digest) -> bool {
        self.forgotten(digest).exists()
    }

    fn forgotten(&self, digest: Digest) -> PathBuf {
        self.layer(digest).join("forgotten")
    }

    /// Notes that something was used, which keeps it for a while.
    pub(crate) fn touch_layer(&self, digest: Digest, now: Timestamp) -> Result<(), LayerError> {
        touch(&self.layer(digest).join("layer.json"), now)
    }

    pub(crate) fn touch_document(&self, digest: Digest, now: Timestamp) -> Result<(), LayerError> {
        touch(&self.document(digest), now)
    }

    /// All layers, with when they were last used.
    pub(crate) fn layers(&self) -> Result<Vec<(Digest, Timestamp)>, LayerError> {
        let all = digests(&self.root.join(LAYERS))?;
        let used = all.into_iter().filter_map(|digest| Some((digest, used(&self.layer(digest).join("layer.json"))?)));
        Ok(used.collect())
    }

    /// All documents, with when they were last used.
    pub(crate) fn documents(&self) -> Result<Vec<(Digest, Timestamp)>, LayerError> {
        let all = digests(&self.root.join(DOCUMENTS))?;
        Ok(all.into_iter().filter_map(|digest| Some((digest, used(&self.document(digest))?))).collect())
    }

    pub(crate) fn remove_document(&self, digest: Digest) -> Result<(), LayerError> {
        let path = self.document(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LayerError::disk(path)(error)),
            _ => Ok(()),
        }
    }

    fn sweep(&self) -> Result<(), LayerError> {
        for part in ["incoming", "gone"] {
            let directory = self.root.join(part);
            for entry in fs::read_dir(&directory).map_err(LayerError::disk(&directory))? {
                let entry = entry.map_err(LayerError::disk(&directory))?;
                let path = entry.path();
                let removed = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    fs::remove_dir_all(&path)
                } else {
                    fs::remove_file(&path)
                };
                removed.map_err(LayerError::disk(path))?;
            }
        }
        let (path, boot) = (self.root.join("boot"), boot_id().map_err(LayerError::disk("/proc"))?);
        let booted_since = fs::read_to_string(&path).ok().is_none_or(|before| before != boot);
        for digest in digests(&self.root.join(LAYERS))? {
            // Without a record nobody knows whether it is whole, and what was not on the disk when the machine went
            // down may be there in parts.
            let is_whole = matches!(self.look(digest), Ok(Some(_)));
            if !is_whole || (booted_since && !self.durable(digest).exists()) {
                let gone = self.retire(&self.layer(digest))?;
                self.delete(gone);
            }
        }
        if booted_since {
            fs::write(&path, boot).map_err(LayerError::disk(path))?;
        }
        Ok(())
    }
}

fn touch(path: &Path, now: Timestamp) -> Result<(), LayerError> {
    stamp(path, now).map_err(LayerError::disk(path))
}

fn stamp(path: &Path, now: Timestamp) -> io::Result<()> {
    let time = UNIX_EPOCH + now.since(Timestamp::EPOCH);
    File::options().write(true).open(path)?.set_modified(time)
}

fn used(path: &Path) -> Option<Timestamp> {
    let since = fs::symlink_metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Some(Timestamp::EPOCH + since)
}

fn digests(directory: &Path) -> Result<Vec<Digest>, LayerError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(LayerError::disk(directory))? {
        let name = entry.map_err(LayerError::disk(directory))?.file_name();
        all.extend(name.to_str().and_then(|name| format!("sha256:{name}").parse::<Digest>().ok()));
    }
    Ok(all)
}

/// Gives one directory the owner and mode of another.
pub(crate) fn look_like(directory: &Path, model: &Path) -> Result<(), LayerError> {
    let copy = || -> io::Result<()> {
        let metadata = fs::metadata(model)?;
        std::os::unix::fs::chown(directory, Some(metadata.uid()), Some(metadata.gid()))?;
        fs::set_permissions(directory, fs::Permissions::from_mode(metadata.mode() & 0o7777))
    };
    copy().map_err(LayerError::disk(directory))
}
