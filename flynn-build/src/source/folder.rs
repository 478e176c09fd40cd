//! Reading a folder of this machine.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::{Intake, SourceError, SourceTree, TreeBuilder, TreePath, printable};

impl SourceTree {
    /// Takes in all of a folder. Links stay links; it blocks on the disk.
    ///
    /// # Errors
    /// `Invalid` for what has no place in a source tree, such as sockets, symlinks out of the tree and names that are not
    /// UTF-8; `TooLarge`, and `Unavailable` for what cannot be read or changes meanwhile.
    pub fn from_folder(folder: &Path, intake: &Intake) -> Result<Self, SourceError> {
        let mut tree = TreeBuilder::new(intake)?;
        // Each folder as its path in the tree; the root has none.
        let mut folders = vec![None];
        while let Some(path) = folders.pop() {
            let place = path.as_ref().map_or_else(|| folder.to_owned(), |path: &TreePath| folder.join(path.as_str()));
            for entry in fs::read_dir(&place).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let shown = printable(&entry.path().to_string_lossy());
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| SourceError::invalid(&shown, "its name is not UTF-8"))?;
                let text = path.as_ref().map_or_else(|| name.to_owned(), |path| format!("{}/{name}", path.as_str()));
                let own = TreePath::new(&text).map_err(|problem| SourceError::invalid(&shown, problem))?;
                let found = entry.metadata().map_err(unreadable)?;
                if found.is_dir() {
                    tree.folder(own.clone())?;
                    folders.push(Some(own));
                } else if found.is_symlink() {
                    let target = fs::read_link(entry.path()).map_err(unreadable)?.to_string_lossy().into_owned();
                    tree.symlink(own, target)?;
                } else if found.is_file() {
                    add(&mut tree, own, &entry.path(), &found)?;
                } else {
                    return Err(SourceError::invalid(&shown, "it is neither a file nor a folder nor a link"));
                }
            }
        }
        tree.finish()
    }
}

fn add(tree: &mut TreeBuilder, own: TreePath, path: &Path, found: &Metadata) -> Result<(), SourceError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?);
    tree.file(own, found.mode() & 0o100 != 0, found.len(), &mut file)
}

fn unreadable(error: std::io::Error) -> SourceError {
    SourceError::unavailable("read a folder", error)
}
