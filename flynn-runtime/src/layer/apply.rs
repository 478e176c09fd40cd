//! Unpacking a layer into a directory of its own, in the form that overlay file systems read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens,
    linkat, mkdirat, mknodat, openat, openat2, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::beneath::{Beneath, Directory, is_directory, is_whiteout, names};
use super::entry::{Entry, EntryKind, OPAQUE, RESERVED, WHITEOUT};
use super::read::ArchiveReader;
use super::xattr::{self, Marks};
use super::{LayerError, LayerLimits, Setuid};

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) limits: LayerLimits,
    pub(crate) setuid: Setuid,
    pub(crate) marks: Marks,
    /// Whether files get the owners they should have. Only root can give files away.
    pub(crate) owners: bool,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) entries: u64,
    /// Of the contents of files.
    pub(crate) bytes: u64,
    /// Whether the layer says what the root directory is like.
    pub(crate) has_root: bool,
}

/// Unpacks `archive` into `target`, an empty directory that nobody else writes to.
pub(crate) fn apply(archive: impl Read, target: &Path, rules: Rules) -> Result<Applied, LayerError> {
    let mut reader = ArchiveReader::new(archive);
    let tree = Beneath::open(target)?;
    let done = Applied { entries: 0, bytes: 0, has_root: false };
    let mut layer = Layer { tree, rules, done, late: BTreeMap::new(), buffer: vec![0; 128 << 10] };
    while let Some(entry) = reader.next()? {
        layer.entry(&entry, &mut reader)?;
    }
    reader.finish()?;
    layer.finish()
}

struct Layer {
    tree: Beneath,
    rules: Rules,
    done: Applied,
    /// Modes and times of directories, which their entries would change or be kept out by.
    late: BTreeMap<Vec<u8>, (u32, u64)>,
    buffer: Vec<u8>,
}

impl Layer {
    fn entry(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), LayerError> {
        self.count(entry)?;
        let names = names(&entry.path)?;
        let Some((&name, above)) = names.split_last() else {
            return self.root(entry);
        };
        let directory = self.tree.directory(above)?;
        if name.starts_with(WHITEOUT) {
            return self.whiteout(entry, &directory, name);
        }
        let path = directory.join(name);
        if let EntryKind::HardLink(target) = &entry.kind {
            return self.hard_link(entry, &directory, name, target);
        }
        let there = directory.look(name).map_err(LayerError::disk(self.tree.place(&path)))?;
        if let EntryKind::Directory = entry.kind {
            if there.as_ref().is_none_or(|there| !is_directory(there)) {
                self.clear(&directory, name)?;
                self.at(&path, mkdirat(&directory.fd, name, Mode::from_raw_mode(0o700)))?;
            }
            if there.as_ref().is_some_and(is_whiteout) {
                self.rules
                    .marks
                    .hide_lower(&directory.by_number(name))
                    .map_err(LayerError::disk(self.tree.place(&path)))?;
            }
            return self.directory(entry, &directory, name, path);
        }
        if there.is_some() {
            self.clear(&directory, name)?;
        }
        match &entry.kind {
            EntryKind::File(bytes) => self.file(entry, *bytes, &directory, name, content),
            EntryKind::Symlink(target) => self.symlink(entry, &directory, name, target),
            EntryKind::Fifo => {
                let made = mknodat(&directory.fd, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0);
                self.at(&path, made)?;
                self.own(entry, &directory, name)?;
                let mode = Mode::from_raw_mode(self.mode(entry));
                self.at(&path, rustix::fs::chmodat(&directory.fd, name, mode, AtFlags::empty()))?;
                self.at(&path, utimensat(&directory.fd, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW))
            }
            _ => Err(LayerError::entry(&entry.path, "it is a device node, which no layer may bring: leave it out")),
        }
    }

    fn count(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let LayerLimits { entries, bytes } = self.rules.limits;
        self.done.entries += 1;
        if let EntryKind::File(size) = entry.kind {
            self.done.bytes = self.done.bytes.saturating_add(size);
        }
        if self.done.entries > entries {
            return Err(LayerError::TooLarge(format!("more than {entries} entries")));
        }
        if self.done.bytes > bytes {
            return Err(LayerError::TooLarge(format!("files of more than {bytes} bytes")));
        }
        Ok(())
    }

    fn root(&mut self, entry: &Entry) -> Result<(), LayerError> {
        if entry.kind != EntryKind::Directory {
            return Err(LayerError::entry(&entry.path, "it is the root, which has to be a directory"));
        }
        let root = self.tree.directory(&[])?;
        self.done.has_root = true;
        self.directory(entry, &root, b"", vec![])
    }

    fn directory(&mut self, entry: &Entry, above: &Directory, name: &[u8], path: Vec<u8>) -> Result<(), LayerError> {
        let by_number = above.by_number(name);
        if self.rules.owners {
            let own = std::os::unix::fs::lchown(&by_number, Some(entry.uid), Some(entry.gid));
            own.map_err(LayerError::disk(self.tree.place(&path)))?;
        }
        xattr::set(&by_number, &entry.xattrs).map_err(LayerError::disk(self.tree.place(&path)))?;
        self.late.insert(path, (entry.mode, entry.mtime));
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        bytes: u64,
        directory: &Directory,
        name: &[u8],
        content: &mut impl Read,
    ) -> Result<(), LayerError> {
        let path = directory.join(name);
        let place = self.tree.place(&path);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.at(&path, openat(&directory.fd, name, flags, Mode::from_raw_mode(0o600)))?;
        let mut file = File::from(file);
        let mut left = bytes;
        while left > 0 {
            let count = content.read(&mut self.buffer).map_err(LayerError::reading)?;
            io::Write::write_all(&mut file, &self.buffer[..count]).map_err(LayerError::disk(&place))?;
            left = left.saturating_sub(count as u64);
        }
        if self.rules.owners {
            self.at(&path, fchown(&file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))))?;
        }
        self.at(&path, fchmod(&file, Mode::from_raw_mode(self.mode(entry))))?;
        xattr::set(&directory.by_number(name), &entry.xattrs).map_err(LayerError::disk(&place))?;
        self.at(&path, futimens(&file, &times(entry.mtime)))
    }

    fn symlink(&mut self, entry: &Entry, directory: &Directory, name: &[u8], target: &[u8]) -> Result<(), LayerError> {
        if target.is_empty() || target.len() > 4_095 || target.contains(&0) {
            return Err(LayerError::entry(&entry.path, "it is a symlink to what can be no path"));
        }
        let path = directory.join(name);
        self.at(&path, symlinkat(target, &directory.fd, name))?;
        self.own(entry, directory, name)?;
        self.at(&path, utimensat(&directory.fd, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW))
    }

    fn hard_link(
        &mut self,
        entry: &Entry,
        directory: &Directory,
        name: &[u8],
        target: &[u8],
    ) -> Result<(), LayerError> {
        let refuse = |problem: &str| {
            Err(LayerError::entry(&entry.path, format!("a hard link to `{}`, {problem}", target.escape_ascii())))
        };
        let names = names(target)?;
        let Some((&file, above)) = names.split_last() else {
            return refuse("which is the root");
        };
        let before = self.tree.implied.len();
        let from = self.tree.directory(above)?;
        let stat = from.look(file).map_err(LayerError::disk(self.tree.place(target)))?;
        let Some(stat) = stat.filter(|_| self.tree.implied.len() == before) else {
            return refuse("which is not in the layer");
        };
        if is_directory(&stat) || is_whiteout(&stat) {
            return refuse("which is no file");
        }
        let path = directory.join(name);
        let there = directory.look(name).map_err(LayerError::disk(self.tree.place(&path)))?;
        if let Some(there) = there {
            if there.st_ino == stat.st_ino && there.st_dev == stat.st_dev {
                return Ok(());
            }
            if from.join(file).starts_with(&[&path[..], b"/"].concat()) {
                return refuse("which it would replace");
            }
            self.clear(directory, name)?;
        }
        self.at(&path, linkat(&from.fd, file, &directory.fd, name, AtFlags::empty()))
    }

    fn whiteout(&mut self, entry: &Entry, directory: &Directory, name: &[u8]) -> Result<(), LayerError> {
        if name == OPAQUE {
            let hidden = self.rules.marks.hide_lower(&directory.by_number(b""));
            return hidden.map_err(LayerError::disk(self.tree.place(&directory.path)));
        }
        if name.starts_with(RESERVED) {
            return Ok(());
        }
        let name = &name[WHITEOUT.len()..];
        if matches!(name, b"" | b"." | b"..") {
            return Err(LayerError::entry(&entry.path, "it takes away what can have no name"));
        }
        let path = directory.join(name);
        let there = directory.look(name).map_err(LayerError::disk(self.tree.place(&path)))?;
        match there {
            None => {
                let made = mknodat(&directory.fd, name, FileType::CharacterDevice, Mode::empty(), 0);
                self.at(&path, made)
            }
            // It is of this layer, and a layer takes away only what is below it.
            Some(there) if is_directory(&there) => {
                let hidden = self.rules.marks.hide_lower(&directory.by_number(name));
                hidden.map_err(LayerError::disk(self.tree.place(&path)))
            }
            Some(_) => Ok(()),
        }
    }

    /// Removes what an earlier entry left where this one is to be.
    fn clear(&mut self, directory: &Directory, name: &[u8]) -> Result<(), LayerError> {
        let place = self.tree.place(&directory.join(name));
        let Some(there) = directory.look(name).map_err(LayerError::disk(&place))? else {
            return Ok(());
        };
        if is_directory(&there) {
            self.tree.forget();
            let path = directory.join(name);
            let (first, end) = ([&path[..], b"/"].concat(), [&path[..], b"0"].concat());
            let inside: Vec<_> = self.late.range(first..end).map(|(path, _)| path.clone()).collect();
            for path in inside.iter().chain([&path]) {
                self.late.remove(path);
            }
        }
        directory.remove(name, is_directory(&there)).map_err(LayerError::disk(place))
    }

    fn mode(&self, entry: &Entry) -> u32 {
        match self.rules.setuid {
            Setuid::Keep => entry.mode,
            Setuid::Clear => entry.mode & !0o6000,
        }
    }

    fn own(&self, entry: &Entry, directory: &Directory, name: &[u8]) -> Result<(), LayerError> {
        if !self.rules.owners {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        let owned = chownat(&directory.fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        self.at(&directory.join(name), owned)
    }

    fn finish(mut self) -> Result<Applied, LayerError> {
        for path in std::mem::take(&mut self.tree.implied) {
            self.late.entry(path).or_insert((0o755, 0));
        }
        if !self.done.has_root {
            self.late.insert(vec![], (0o755, 0));
        }
        let root = self.tree.directory(&[])?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        // What is inside comes after, so that no mode keeps it from being reached.
        for (path, (mode, mtime)) in self.late.iter().rev() {
            let name = if path.is_empty() { b"." } else { &path[..] };
            let opened = loop {
                match openat2(&root.fd, name, flags, Mode::empty(), resolve) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    opened => break opened,
                }
            };
            let directory = match opened {
                // A later entry replaced it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                opened => self.at(path, opened)?,
            };
            self.at(path, fchmod(&directory, Mode::from_raw_mode(*mode)))?;
            self.at(path, futimens(&directory, &times(*mtime)))?;
        }
        Ok(self.done)
    }

    fn at<T>(&self, path: &[u8], result: rustix::io::Result<T>) -> Result<T, LayerError> {
        result.map_err(|error| LayerError::disk(self.tree.place(path))(error.into()))
    }
}

/// Whole seconds, for both times of a file.
pub(crate) fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(i64::MAX), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
