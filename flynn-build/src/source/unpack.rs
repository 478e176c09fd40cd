use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::pack::MTIME;
use super::{Entry, SourceError, SourceTree};

impl SourceTree {
    /// Writes the tree into `root`, an empty folder that nobody else writes to. It blocks on the disk.
    ///
    /// Files get the modes 0644 and 0755 whatever the umask, the calling process as their owner, and a fixed
    /// time. Nothing outside `root` can be reached: the tree has no entry beneath a link.
    ///
    /// # Errors
    /// `Invalid` if `root` is not empty; `Unavailable` for a failed write, after which `root` holds a part of
    /// the tree.
    pub fn unpack(&self, root: &Path) -> Result<(), SourceError> {
        let failed = |error| SourceError::unavailable("unpack source", error);
        if fs::read_dir(root).map_err(failed)?.next().is_some() {
            return Err(SourceError::invalid(&root.to_string_lossy(), "a tree is unpacked into an empty folder only"));
        }
        self.write_entries(root).map_err(failed)
    }

    fn write_entries(&self, root: &Path) -> io::Result<()> {
        let time = UNIX_EPOCH + Duration::from_secs(MTIME);
        for (path, entry) in self.entries() {
            let path = root.join(path.as_str());
            match entry {
                Entry::Folder => {
                    fs::create_dir(&path)?;
                    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
                }
                Entry::Symlink { target } => symlink(target, &path)?,
                Entry::File { executable, content } => {
                    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                    io::copy(&mut self.open(*content), &mut file)?;
                    file.set_permissions(Permissions::from_mode(if *executable { 0o755 } else { 0o644 }))?;
                    file.set_modified(time)?;
                }
            }
        }
        // A folder's time changes with what is put into it, so it is set when all is there.
        for (path, entry) in self.entries() {
            if *entry == Entry::Folder {
                File::open(root.join(path.as_str()))?.set_modified(time)?;
            }
        }
        Ok(())
    }
}
