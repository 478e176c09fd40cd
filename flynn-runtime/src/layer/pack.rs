//! Making a layer's archive of a directory that an overlay file system wrote.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
#[cfg(test)]
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, utimensat};

use super::apply::{Applied, times};
use super::entry::{Entry, EntryKind, OPAQUE, WHITEOUT};
use super::write::ArchiveWriter;
use super::xattr::{self, Marks};
use super::{LayerError, LayerLimits, LayerTimes};

/// How to pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    pub(crate) times: LayerTimes,
    pub(crate) limits: LayerLimits,
    pub(crate) marks: Marks,
}

/// Writes the layer that `source` is. The same content gives the same bytes, in whatever order it was made.
///
/// Files are given the times that the layer says they have, and lose marks of overlay file systems that no
/// layer carries: afterwards `source` is what unpacking the layer makes. It can be repeated.
pub(crate) fn pack<W: Write>(source: &Path, output: W, packing: Packing) -> Result<(Applied, W), LayerError> {
    let mut packer = Packer {
        writer: ArchiveWriter::new(output),
        packing,
        links: HashMap::new(),
        done: Applied { entries: 0, bytes: 0, has_root: true },
    };
    // Directories that are being gone through, innermost last, with what is still to be done in each.
    let root = packer.directory(source, b"", &metadata(source)?)?;
    let mut open = vec![(source.to_owned(), Vec::new(), root)];
    while let Some((directory, inside, names)) = open.last_mut() {
        let Some(name) = names.pop() else {
            open.pop();
            continue;
        };
        let place = directory.join(std::ffi::OsStr::from_bytes(&name));
        let path = if inside.is_empty() { name.clone() } else { [&inside[..], b"/", &name].concat() };
        let metadata = metadata(&place)?;
        if metadata.is_dir() && !name.starts_with(WHITEOUT) {
            let names = packer.directory(&place, &path, &metadata)?;
            open.push((place, path, names));
        } else {
            packer.file(&place, path, &name, &metadata)?;
        }
    }
    Ok((packer.done, packer.writer.finish()?))
}

struct Packer<W> {
    writer: ArchiveWriter<W>,
    packing: Packing,
    /// The first names of files that have more than one.
    links: HashMap<(u64, u64), Vec<u8>>,
    done: Applied,
}

impl<W: Write> Packer<W> {
    /// Writes a directory's own entries and gives the names in it, in reverse.
    fn directory(&mut self, place: &Path, path: &[u8], metadata: &Metadata) -> Result<Vec<Vec<u8>>, LayerError> {
        let shown = if path.is_empty() { b"./".to_vec() } else { [path, b"/"].concat() };
        let mut entry = self.entry(place, shown.clone(), EntryKind::Directory, metadata)?;
        if path.is_empty() {
            // It is when the directory was prepared, which says nothing of the content.
            entry.mtime = self.packing.times.of(0);
        }
        self.empty(&entry)?;
        let marks = self.packing.marks;
        if marks.hides_lower(place).map_err(LayerError::disk(place))? {
            self.mark([&shown[..], OPAQUE].concat())?;
        }
        self.settle(place, &entry)?;
        let mut names = Vec::new();
        for name in fs::read_dir(place).map_err(LayerError::disk(place))? {
            names.push(name.map_err(LayerError::disk(place))?.file_name().into_vec());
        }
        names.sort_unstable_by(|one, other| other.cmp(one));
        Ok(names)
    }

    fn file(&mut self, place: &Path, path: Vec<u8>, name: &[u8], metadata: &Metadata) -> Result<(), LayerError> {
        let kind = metadata.file_type();
        if kind.is_char_device() && metadata.rdev() == 0 {
            let above = &path[..path.len() - name.len()];
            return self.mark([above, WHITEOUT, name].concat());
        }
        if name.starts_with(WHITEOUT) {
            return Err(LayerError::entry(&path, "in a layer, such a name takes a file away: choose another"));
        }
        if kind.is_socket() {
            // It is nothing without the process that listens to it.
            return Ok(());
        }
        if kind.is_symlink() {
            let target = fs::read_link(place).map_err(LayerError::disk(place))?.into_os_string().into_vec();
            let entry = self.entry(place, path, EntryKind::Symlink(target), metadata)?;
            self.empty(&entry)?;
            return self.settle(place, &entry);
        }
        if kind.is_fifo() {
            let entry = self.entry(place, path, EntryKind::Fifo, metadata)?;
            self.empty(&entry)?;
            return self.settle(place, &entry);
        }
        if !kind.is_file() {
            return Err(LayerError::entry(&path, "it is a device node, which no layer may bring: remove it"));
        }
        if metadata.nlink() > 1 {
            let first = self.links.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.clone());
            if *first != path {
                let target = EntryKind::HardLink(first.clone());
                let entry = Entry { xattrs: BTreeMap::new(), ..self.entry(place, path, target, metadata)? };
                return self.empty(&entry);
            }
        }
        let entry = self.entry(place, path, EntryKind::File(metadata.len()), metadata)?;
        self.count(metadata.len())?;
        let content = File::open(place).map_err(LayerError::disk(place))?;
        self.writer.file(&entry, metadata.len(), content, place)?;
        self.settle(place, &entry)
    }

    fn entry(&self, place: &Path, path: Vec<u8>, kind: EntryKind, metadata: &Metadata) -> Result<Entry, LayerError> {
        Ok(Entry {
            path,
            // Symlinks have no mode that anything would look at.
            mode: if matches!(kind, EntryKind::Symlink(_)) { 0o777 } else { metadata.mode() & 0o7777 },
            kind,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: self.packing.times.of(u64::try_from(metadata.mtime()).unwrap_or_default()),
            xattrs: xattr::carried(place).map_err(LayerError::disk(place))?,
        })
    }

    /// An entry that says what is taken away.
    fn mark(&mut self, path: Vec<u8>) -> Result<(), LayerError> {
        let kind = EntryKind::File(0);
        self.empty(&Entry { path, kind, mode: 0o600, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() })
    }

    fn empty(&mut self, entry: &Entry) -> Result<(), LayerError> {
        self.count(0)?;
        self.writer.empty(entry)
    }

    fn count(&mut self, bytes: u64) -> Result<(), LayerError> {
        let LayerLimits { entries, bytes: most } = self.packing.limits;
        self.done.entries += 1;
        self.done.bytes += bytes;
        if self.done.entries > entries {
            return Err(LayerError::TooLarge(format!("more than {entries} entries")));
        }
        if self.done.bytes > most {
            return Err(LayerError::TooLarge(format!("files of more than {most} bytes")));
        }
        Ok(())
    }

    /// Makes a file what the layer says it is.
    fn settle(&self, place: &Path, entry: &Entry) -> Result<(), LayerError> {
        let settle = || -> io::Result<()> {
            xattr::clean(place, self.packing.marks)?;
            Ok(utimensat(CWD, place, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
        };
        settle().map_err(LayerError::disk(place))
    }
}

fn metadata(place: &Path) -> Result<Metadata, LayerError> {
    fs::symlink_metadata(place).map_err(LayerError::disk(place))
}

/// All that a layer can say of a directory, for comparing two.
#[cfg(test)]
pub(crate) fn describe(source: &Path, marks: Marks) -> BTreeMap<PathBuf, String> {
    fn walk(root: &Path, place: &Path, marks: Marks, found: &mut BTreeMap<PathBuf, String>) {
        let metadata = fs::symlink_metadata(place).unwrap();
        let kind = metadata.file_type();
        let content = match () {
            () if kind.is_file() => format!("{:?}", fs::read(place).unwrap()),
            () if kind.is_symlink() => format!("{:?}", fs::read_link(place).unwrap()),
            () if kind.is_dir() => format!("opaque {}", marks.hides_lower(place).unwrap()),
            () => format!("{kind:?} {}", metadata.rdev()),
        };
        let whiteout = kind.is_char_device() && metadata.rdev() == 0;
        let time = if whiteout || place == root { 0 } else { metadata.mtime() };
        let links = if kind.is_dir() { 0 } else { metadata.nlink() };
        let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
        let xattrs = xattr::carried(place).unwrap();
        let text = format!("{mode:o} {uid}:{gid} at {time} links {links} {xattrs:?} {content}");
        found.insert(place.strip_prefix(root).unwrap().to_owned(), text);
        if kind.is_dir() {
            for entry in fs::read_dir(place).unwrap() {
                walk(root, &entry.unwrap().path(), marks, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(source, source, marks, &mut found);
    found
}
