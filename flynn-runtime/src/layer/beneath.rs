//! A directory that nothing leads out of, whatever symlinks are in it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, mkdirat, openat2, statat, unlinkat};
use rustix::io::Errno;

use super::LayerError;

/// The longest path and the deepest nesting of a layer. Both are more than what is found in the wild, and few
/// enough to be walked through and deleted with a descriptor for each level.
const MOST_BYTES: usize = 4_000;
const MOST_LEVELS: usize = 255;
const MOST_NAME: usize = 255;

/// The root of a layer that is being unpacked.
pub(super) struct Beneath {
    root: Rc<OwnedFd>,
    path: PathBuf,
    /// Where the last entry was, since the next one is likely to be there too.
    last: Option<Directory>,
    /// Directories that had to be made without an entry of their own.
    pub(super) implied: Vec<Vec<u8>>,
}

/// A directory of the layer, by a path without symlinks.
#[derive(Clone)]
pub(super) struct Directory {
    asked: Vec<u8>,
    pub(super) path: Vec<u8>,
    pub(super) fd: Rc<OwnedFd>,
}

/// Splits a path of an archive into names; none of them for the root.
pub(super) fn names(path: &[u8]) -> Result<Vec<&[u8]>, LayerError> {
    let refuse = |problem: &str| Err(LayerError::entry(path, problem));
    if path.contains(&0) {
        return refuse("its path has a zero byte");
    }
    // An absolute path means one from the root of the layer, as every other does.
    let names: Vec<_> = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    if names.contains(&&b".."[..]) {
        return refuse("its path has `..`");
    }
    if path.len() > MOST_BYTES || names.len() > MOST_LEVELS || names.iter().any(|name| name.len() > MOST_NAME) {
        return refuse("its path is too long or too deep");
    }
    Ok(names)
}

impl Beneath {
    pub(super) fn open(path: &Path) -> Result<Self, LayerError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| LayerError::disk(path)(error.into()))?;
        let path = named(&root).map_err(LayerError::disk(path))?;
        Ok(Self { root: Rc::new(root), path, last: None, implied: vec![] })
    }

    /// Where something is, for messages.
    pub(super) fn place(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// A directory, made if it is missing. Symlinks on the way are followed as a process does whose root this
    /// is.
    pub(super) fn directory(&mut self, names: &[&[u8]]) -> Result<Directory, LayerError> {
        let asked = names.join(&b'/');
        if let Some(last) = self.last.as_ref().filter(|last| last.asked == asked) {
            return Ok(last.clone());
        }
        let directory = match names.split_last() {
            None => Directory { asked, path: vec![], fd: Rc::clone(&self.root) },
            Some((name, above)) => match self.find(&asked) {
                Ok(fd) => self.found(asked, fd)?,
                Err(Errno::NOENT) => {
                    let above = self.directory(above)?;
                    self.make(asked, &above, name)?
                }
                Err(Errno::NOTDIR) => return Err(LayerError::entry(&asked, "it is no directory, but has entries")),
                Err(Errno::LOOP) => return Err(LayerError::entry(&asked, "its symlinks lead in a circle")),
                Err(error) => return Err(LayerError::disk(self.place(&asked))(error.into())),
            },
        };
        self.last = Some(directory.clone());
        Ok(directory)
    }

    /// Forgets what it knows of directories, since some were removed.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    fn find(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // Something else on the machine was renamed meanwhile, and the kernel could not be sure.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }

    fn found(&self, asked: Vec<u8>, fd: OwnedFd) -> Result<Directory, LayerError> {
        let full = named(&fd).map_err(LayerError::disk(self.place(&asked)))?;
        let path = full.strip_prefix(&self.path).map_err(|_| LayerError::entry(&asked, "it leads out of the layer"))?;
        let path = path.as_os_str().as_bytes().to_vec();
        // By symlinks a path can become longer than it is written.
        names(&path)?;
        Ok(Directory { asked, path, fd: Rc::new(fd) })
    }

    fn make(&mut self, asked: Vec<u8>, above: &Directory, name: &[u8]) -> Result<Directory, LayerError> {
        let path = above.join(name);
        names(&path)?;
        match mkdirat(&above.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            // It is a symlink that leads to nothing.
            Err(Errno::EXIST) => return Err(LayerError::entry(&asked, "it is no directory, but has entries")),
            Err(error) => return Err(LayerError::disk(self.place(&asked))(error.into())),
        }
        self.implied.push(path.clone());
        let fd = self.find(&path).map_err(|error| LayerError::disk(self.place(&path))(error.into()))?;
        Ok(Directory { asked, path, fd: Rc::new(fd) })
    }
}

impl Directory {
    /// The path of something in it.
    pub(super) fn join(&self, name: &[u8]) -> Vec<u8> {
        if self.path.is_empty() { name.to_vec() } else { [&self.path, &b"/"[..], name].concat() }
    }

    /// A path by which system calls find something in it that take no descriptor.
    pub(super) fn by_number(&self, name: &[u8]) -> PathBuf {
        let own = PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()));
        if name.is_empty() { own.join(".") } else { own.join(OsStr::from_bytes(name)) }
    }

    /// What has a name in it; none if nothing has.
    pub(super) fn look(&self, name: &[u8]) -> io::Result<Option<Stat>> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what has a name in it, with all that is below it.
    pub(super) fn remove(&self, name: &[u8], is_directory: bool) -> io::Result<()> {
        if is_directory {
            // It follows no symlink below this path.
            return std::fs::remove_dir_all(self.by_number(name));
        }
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Whether it stands for something that a layer takes away.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The path of an open file.
fn named(fd: &impl AsFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}
