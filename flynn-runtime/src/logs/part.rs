//! A log is a row of files. Each keeps its identity when it is rotated, and also when it is put aside.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a file is known by, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartId {
    device: u64,
    inode: u64,
}

/// One file of a log.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) id: PartId,
    pub(super) path: PathBuf,
    /// Whether the name says the identity, because the file is a copy.
    archived: bool,
}

impl PartId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// The name under which the part at `place` in its row is put aside.
    pub(super) fn name(self, place: usize) -> String {
        format!("{place:04}-{:x}-{:x}", self.device, self.inode)
    }

    fn from_name(name: &str) -> Option<Self> {
        let mut parts = name.split('-').skip(1).map(|part| u64::from_str_radix(part, 16).ok());
        Some(Self { device: parts.next()??, inode: parts.next()?? })
    }
}

impl Part {
    /// Opens it; none if the file is not this one any more.
    pub(super) fn open(&self) -> io::Result<Option<File>> {
        let Some(file) = present(File::open(&self.path))? else { return Ok(None) };
        let same = self.archived || PartId::of(&file.metadata()?) == self.id;
        Ok(same.then_some(file))
    }
}

/// The files of a log that is being written, the oldest first.
pub(super) fn written(log: &Path) -> io::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut add = |path: PathBuf| -> io::Result<()> {
        if let Some(metadata) = present(fs::metadata(&path))? {
            let id = PartId::of(&metadata);
            // Seen a moment ago under its last name.
            if parts.iter().all(|part| part.id != id) {
                parts.push(Part { id, path, archived: false });
            }
        }
        Ok(())
    };
    // The newest first: rotation moves a file to a name that is still to come, so that none is missed.
    add(log.to_owned())?;
    for number in 1..=last_number(log)? {
        add(numbered(log, number))?;
    }
    parts.reverse();
    Ok(parts)
}

/// The file at this place behind `log`.
pub(super) fn numbered(log: &Path, number: u32) -> PathBuf {
    log.with_extension(number.to_string())
}

fn last_number(log: &Path) -> io::Result<u32> {
    let (Some(directory), Some(name)) = (log.parent(), log.file_name().and_then(|name| name.to_str())) else {
        return Ok(0);
    };
    let mut last = 0;
    for entry in present(fs::read_dir(directory))?.into_iter().flatten() {
        let file = entry?.file_name();
        let number = file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix('.')?.parse().ok());
        last = last.max(number.unwrap_or(0));
    }
    // A rotation may be about to give one more.
    Ok(last + 1)
}

/// The files of a log that was put aside in `directory`, the oldest first; none if it was not.
pub(super) fn archived(directory: &Path) -> io::Result<Option<Vec<Part>>> {
    let Some(entries) = present(fs::read_dir(directory))? else { return Ok(None) };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    names.sort_unstable();
    let part = |name: String| Some(Part { id: PartId::from_name(&name)?, path: directory.join(&name), archived: true });
    Ok(Some(names.into_iter().filter_map(part).collect()))
}

/// None for what is not there.
pub(super) fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The ids that the entries of a directory are named by.
pub(super) fn ids<T: std::str::FromStr>(directory: &Path) -> io::Result<Vec<T>> {
    let mut ids = Vec::new();
    for entry in present(fs::read_dir(directory))?.into_iter().flatten() {
        ids.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    Ok(ids)
}

/// Makes a directory and those above it. Others may be removing some of these because they are empty.
pub(super) fn create(directory: &Path) -> io::Result<()> {
    for _ in 0..8 {
        match fs::create_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    fs::create_dir_all(directory)
}

/// Removes the nearest `levels` directories above what was removed, so far as they are empty.
pub(super) fn remove_empty(removed: &Path, levels: usize) {
    for directory in removed.ancestors().skip(1).take(levels) {
        match fs::remove_dir(directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Something is in it.
            Err(_) => return,
        }
    }
}
