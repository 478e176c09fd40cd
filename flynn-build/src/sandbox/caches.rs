//! What tools keep from build to build of an app.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flynn_core::{AppId, Timestamp};

use crate::image::OWNER;

/// The caches of all apps of a node.
#[derive(Debug, Clone)]
pub(super) struct Caches {
    directory: PathBuf,
    trash: PathBuf,
    in_use: Arc<Mutex<BTreeMap<AppId, usize>>>,
}

/// A cache that is in use for as long as this is there.
#[derive(Debug)]
pub(super) struct CacheInUse {
    caches: Caches,
    app: AppId,
}

impl Drop for CacheInUse {
    fn drop(&mut self) {
        let mut in_use = self.caches.lock();
        if let Some(count) = in_use.get_mut(&self.app) {
            *count -= 1;
            if *count == 0 {
                in_use.remove(&self.app);
            }
        }
    }
}

impl Caches {
    /// Caches in `directory`; what is thrown away goes through `trash`, on the same file system.
    pub(super) fn new(directory: PathBuf, trash: PathBuf) -> Self {
        Self { directory, trash, in_use: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AppId, usize>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of an app's cache, and what keeps it there. It blocks.
    pub(super) fn take(&self, app: AppId, now: Timestamp) -> io::Result<(PathBuf, CacheInUse)> {
        *self.lock().entry(app).or_default() += 1;
        let in_use = CacheInUse { caches: self.clone(), app };
        let path = self.directory.join(app.to_string());
        fs::create_dir_all(&path)?;
        if rustix::process::geteuid().is_root() {
            chown(&path, Some(OWNER.0), Some(OWNER.1))?;
        }
        File::open(&path)?.set_modified(UNIX_EPOCH + Duration::from_millis(now.as_millis()))?;
        Ok((path, in_use))
    }

    /// Throws away what is over the limits and not in use. It blocks.
    pub(super) fn trim(&self, per_app: u64, together: u64) -> io::Result<()> {
        let mut caches = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            caches.push((entry.metadata()?.modified()?, size(&entry.path())?, entry.file_name()));
        }
        caches.sort();
        for name in surplus(caches, per_app, together) {
            let trash = self.trash.join(format!("cache-{}", name.display()));
            let in_use = self.lock();
            if name.to_str().and_then(|name| name.parse().ok()).is_some_and(|app| in_use.contains_key(&app)) {
                continue;
            }
            fs::rename(self.directory.join(&name), &trash)?;
            drop(in_use);
            fs::remove_dir_all(trash)?;
        }
        Ok(())
    }
}

/// Of caches in the order of their last use, those that are too large, and then the least recently used until the
/// rest is small enough.
fn surplus<T>(caches: Vec<(SystemTime, u64, T)>, per_app: u64, together: u64) -> Vec<T> {
    let mut sum: u64 = caches.iter().map(|(_, bytes, _)| bytes).filter(|bytes| **bytes <= per_app).sum();
    let mut surplus = Vec::new();
    for (_, bytes, name) in caches {
        if bytes > per_app {
            surplus.push(name);
        } else if sum > together {
            sum -= bytes;
            surplus.push(name);
        }
    }
    surplus
}

/// The sum of all files beneath `path`. What vanishes meanwhile counts as nothing.
fn size(path: &Path) -> io::Result<u64> {
    let mut sum = 0;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => sum += metadata.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use flynn_core::Ids;

    use super::*;

    fn check(sizes: &[u64], per_app: u64, together: u64, expect: &[usize]) {
        let caches = sizes.iter().enumerate().map(|(index, bytes)| (UNIX_EPOCH, *bytes, index)).collect();
        assert_eq!(surplus(caches, per_app, together), expect, "{sizes:?}");
    }

    #[test]
    fn too_large_ones_go_and_then_the_oldest() {
        check(&[], 10, 20, &[]);
        check(&[10, 10], 10, 20, &[]);
        check(&[11, 10], 10, 20, &[0]);
        check(&[5, 9, 8], 10, 20, &[0]);
        check(&[1, 9, 8, 7], 10, 20, &[0, 1]);
        check(&[1, 50, 2], 10, 20, &[1]);
        check(&[1, 2, 3], 10, 0, &[0, 1, 2]);
    }

    #[test]
    fn what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (caches, trash) = (folder.path().join("caches"), folder.path().join("trash"));
        fs::create_dir_all(&trash).unwrap();
        let caches = Caches::new(caches, trash.clone());
        let mut ids = Ids::seeded(1);
        let [one, two]: [AppId; 2] = std::array::from_fn(|_| ids.next(Timestamp::EPOCH));
        let (first, first_use) = caches.take(one, Timestamp::from_millis(5)).unwrap();
        let (second, second_use) = caches.take(two, Timestamp::from_millis(6)).unwrap();
        for path in [&first, &second] {
            fs::create_dir(path.join("d")).unwrap();
            fs::write(path.join("d/f"), [0; 100]).unwrap();
        }
        drop(second_use);
        let again = caches.take(one, Timestamp::from_millis(7)).unwrap().1;
        drop(first_use);
        caches.trim(10, 10).unwrap();
        assert!(first.exists() && !second.exists());
        drop(again);
        caches.trim(200, 200).unwrap();
        assert!(first.exists());
        caches.trim(10, 200).unwrap();
        assert!(!first.exists());
        assert_eq!(fs::read_dir(trash).unwrap().count(), 0);
    }
}
