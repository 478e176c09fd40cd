//! What was made already, by what it was made from.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use flynn_core::port::Blobs;
use flynn_core::value::Digest;
use flynn_core::{BoxError, Clock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::builder::BuildError;

const STEP: &str = "look for what is there";
/// How many keys are remembered; the least recently used go first.
const MOST: usize = 10_000;

/// Everything that decides what a layer or an image will be, as one digest.
///
/// ```
/// use flynn_build::keys::Key;
///
/// let key = Key::new("flynn/python", "1").with("python", "3.11.2").with("requirements.txt", "flask==3.1.2\n");
/// assert_ne!(key, Key::new("flynn/python", "1").with("python", "3.11.2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    hash: Sha256Eq,
}

#[derive(Clone)]
struct Sha256Eq(Sha256);

impl PartialEq for Sha256Eq {
    fn eq(&self, other: &Self) -> bool {
        self.0.clone().finalize() == other.0.clone().finalize()
    }
}

impl Eq for Sha256Eq {}

impl std::fmt::Debug for Sha256Eq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl Key {
    /// A key of what `maker` makes in its `version`.
    pub fn new(maker: &str, version: &str) -> Self {
        Self { hash: Sha256Eq(Sha256::new()) }.with(maker, version)
    }

    /// Adds an input. Names and values cannot run into each other, and the order counts.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.hash.0.update((part.len() as u64).to_le_bytes());
            self.hash.0.update(part);
        }
        self
    }

    /// The key as a digest.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.0.clone().finalize().into())
    }
}

/// Remembers under a [`Key`] what was made. A node has its own; to lose it costs time and nothing else.
#[derive(Debug, Clone)]
pub struct Keys {
    directory: Arc<PathBuf>,
    clock: Arc<dyn Clock>,
}

impl Keys {
    /// Keys that are kept in `directory`, which is made if it is not there. It blocks.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(directory: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        Ok(Self { directory: Arc::new(directory), clock })
    }

    /// What is known under `key`. What cannot be read counts as unknown.
    ///
    /// # Errors
    /// `Unavailable` if this process can run nothing more.
    pub async fn find<T: DeserializeOwned + Send + 'static>(&self, key: &Key) -> Result<Option<T>, BuildError> {
        let path = self.path(key);
        let now = UNIX_EPOCH + Duration::from_millis(self.clock.now().as_millis());
        blocking(move || match read(&path) {
            Ok(Some(value)) => {
                // The time of the last use, for `prune`.
                if let Err(error) = File::options().append(true).open(&path).and_then(|file| file.set_modified(now)) {
                    tracing::debug!(%error, "the use of a build key could not be noted");
                }
                Ok(Some(value))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "a build key cannot be read and counts as unknown");
                Ok(None)
            }
        })
        .await
    }

    /// Remembers `value` under `key`, in place of what was there.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be written, such as on a full disk.
    pub async fn keep<T: Serialize>(&self, key: &Key, value: &T) -> Result<(), BuildError> {
        let failed = |error: serde_json::Error| BuildError::unavailable(STEP, error);
        let bytes = serde_json::to_vec(value).map_err(failed)?;
        let (path, directory) = (self.path(key), Arc::clone(&self.directory));
        let now = UNIX_EPOCH + Duration::from_millis(self.clock.now().as_millis());
        blocking(move || {
            let mut file = tempfile::NamedTempFile::new_in(&*directory)?;
            file.write_all(&bytes)?;
            file.as_file().set_modified(now)?;
            file.persist(&path)?;
            prune(&directory, MOST)
        })
        .await
    }

    /// The layer that is known under `key`, if it is still in the blob store.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn layer(&self, key: &Key, blobs: &dyn Blobs) -> Result<Option<Digest>, BuildError> {
        let Some(digest) = self.find::<Digest>(key).await? else {
            return Ok(None);
        };
        let blob = blobs.stat(digest).await.map_err(|error| BuildError::unavailable(STEP, error))?;
        Ok(blob.map(|blob| blob.digest))
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.directory.join(key.digest().hex())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Forgets the least recently used keys until there are at most `most`; a tenth more, so that not every call does.
fn prune(directory: &Path, most: usize) -> io::Result<()> {
    let count = fs::read_dir(directory)?.count();
    if count <= most {
        return Ok(());
    }
    let mut files = Vec::with_capacity(count);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    files.sort();
    for (_, path) in files.iter().take(count - most + most / 10) {
        fs::remove_file(path)?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, BuildError> {
    let done = tokio::task::spawn_blocking(work).await;
    let failed = |error: BoxError| BuildError::unavailable(STEP, error);
    done.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_do_not_run_into_each_other() {
        let key = |parts: &[(&str, &str)]| {
            parts.iter().fold(Key::new("a", "1"), |key, (name, value)| key.with(name, value)).digest()
        };
        let different = [
            key(&[]),
            key(&[("ab", "c")]),
            key(&[("a", "bc")]),
            key(&[("", "abc")]),
            key(&[("a", "b"), ("c", "")]),
            key(&[("a", ""), ("b", "c")]),
            key(&[("b", "c"), ("a", "")]),
            Key::new("a1", "").digest(),
        ];
        let unique: std::collections::BTreeSet<_> = different.iter().collect();
        assert_eq!(unique.len(), different.len());
        assert_eq!(key(&[("x", "y")]), key(&[("x", "y")]));
    }

    #[test]
    fn the_least_recently_used_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        for age in 0..25_u64 {
            let file = File::create(folder.path().join(format!("{:02}", 24 - age))).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000 - age)).unwrap();
        }
        prune(folder.path(), 25).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 25);
        prune(folder.path(), 20).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left.first().unwrap(), "07");
        assert_eq!(left.len(), 18);
    }
}
