use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::local::place::InPlace;

/// What a file will be replaced with. Of all processes one at a time has it, so nobody else writes.
pub(super) struct Replacement {
    file: File,
    path: PathBuf,
    target: PathBuf,
    settled: bool,
}

impl Replacement {
    /// Waits until nobody else replaces `target`.
    pub(super) fn begin(target: &Path) -> io::Result<Self> {
        let mut path = target.as_os_str().to_owned();
        path.push(".new");
        let path = PathBuf::from(path);
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).at(&path)?;
            file.lock().at(&path)?;
            let locked = file.metadata().at(&path)?;
            let same = match fs::symlink_metadata(&path) {
                Ok(there) => (there.dev(), there.ino()) == (locked.dev(), locked.ino()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error).at(&path),
            };
            if !same {
                // Whoever had it has put it in place or removed it.
                continue;
            }
            if locked.nlink() > 1 {
                // Whoever created the target died before this name was removed. To write here is to
                // write there.
                fs::remove_file(&path).at(&path)?;
                continue;
            }
            return Ok(Self { file, path, target: target.to_owned(), settled: false });
        }
    }

    /// Writes all that is to be in the file, durably.
    pub(super) fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(0o600)).at(&self.path)?;
        self.file.set_len(0).at(&self.path)?;
        self.file.write_all(content).at(&self.path)?;
        self.file.sync_all().at(&self.path)
    }

    /// Puts it in place of the target.
    pub(super) fn replace(mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.target).at(&self.target)?;
        self.settled = true;
        self.sync_directory()
    }

    /// Makes it the target, and fails with `AlreadyExists` if there is one.
    pub(super) fn create(mut self) -> io::Result<()> {
        fs::hard_link(&self.path, &self.target).at(&self.target)?;
        fs::remove_file(&self.path).at(&self.path)?;
        self.settled = true;
        self.sync_directory()
    }

    fn sync_directory(&self) -> io::Result<()> {
        let directory = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).at(directory)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.settled {
            // Should this fail, whoever comes next writes over it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
