use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::links;
use super::{CaseCollisions, Intake, Limits, SourceError, TreePath};

/// A source tree: files, symlinks and folders, checked, without owners, times and modes other than "executable".
///
/// Every path lies beneath the root, every entry in a folder of the tree and never beneath a link, and every
/// symlink stays within the tree. The content lies in an unnamed file that is gone when the last clone is.
#[derive(Debug, Clone)]
pub struct SourceTree {
    entries: Arc<BTreeMap<TreePath, Entry>>,
    spool: Arc<File>,
}

/// What is at a path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Whether its owner may run it.
        executable: bool,
        /// Its content.
        content: Content,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, relative to its folder.
        target: String,
    },
}

/// The place of a file's bytes in the spool of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    offset: u64,
    bytes: u64,
}

impl Content {
    /// Its length in bytes.
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

impl SourceTree {
    /// All entries in the order of their paths, a folder before what is in it.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// What is at `path`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The sum of all files in bytes.
    pub fn bytes(&self) -> u64 {
        self.entries
            .values()
            .map(|entry| match entry {
                Entry::File { content, .. } => content.bytes,
                Entry::Folder | Entry::Symlink { .. } => 0,
            })
            .sum()
    }

    /// The content of a file of this tree, from its beginning.
    pub fn open(&self, content: Content) -> ContentReader {
        ContentReader { spool: self.spool.clone(), at: content.offset, end: content.offset + content.bytes }
    }
}

/// Reads one file of a tree.
#[derive(Debug)]
pub struct ContentReader {
    spool: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = match buffer.get_mut(..left) {
            Some(part) if left > 0 => self.spool.read_at(part, self.at)?,
            _ => return Ok(0),
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Puts a tree together entry by entry, in whatever order they come, and holds it to its limits.
#[derive(Debug)]
pub(crate) struct TreeBuilder {
    limits: Limits,
    entries: BTreeMap<TreePath, Entry>,
    folded: HashMap<String, TreePath>,
    spool: File,
    spooled: u64,
    total: u64,
}

impl TreeBuilder {
    pub(crate) fn new(intake: &Intake) -> Result<Self, SourceError> {
        let spool = tempfile::tempfile_in(&intake.spool)
            .map_err(|error| SourceError::unavailable("open the spool of a source tree", error))?;
        Ok(Self {
            limits: intake.limits,
            entries: BTreeMap::new(),
            folded: HashMap::new(),
            spool,
            spooled: 0,
            total: 0,
        })
    }

    pub(crate) fn folder(&mut self, path: TreePath) -> Result<(), SourceError> {
        match self.entries.get(&path) {
            Some(Entry::Folder) => Ok(()),
            _ => self.insert(path, Entry::Folder),
        }
    }

    /// Adds a file of exactly `bytes` bytes, read from `content`.
    pub(crate) fn file(
        &mut self,
        path: TreePath,
        executable: bool,
        bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), SourceError> {
        self.weigh(&path, bytes)?;
        let place = Content { offset: self.spooled, bytes };
        // The entry comes first, so that nothing is read for a path that is refused.
        self.insert(path, Entry::File { executable, content: place })?;
        let mut left = bytes;
        let mut buffer = [0; 64 << 10];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let part = buffer.get_mut(..most).unwrap_or_default();
            let count = match content.read(part) {
                Ok(0) => return Err(SourceError::reading(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SourceError::reading(error)),
            };
            self.spool
                .write_all(part.get(..count).unwrap_or_default())
                .map_err(|error| SourceError::unavailable("write the spool of a source tree", error))?;
            left -= count as u64;
        }
        self.spooled += bytes;
        Ok(())
    }

    pub(crate) fn symlink(&mut self, path: TreePath, target: String) -> Result<(), SourceError> {
        let problem = match target.as_str() {
            "" => "a symlink to nowhere",
            target if target.starts_with('/') => "a symlink to an absolute path leads out of the source tree",
            target if target.len() > 4_095 || target.contains('\0') => "its target is no path",
            _ => return self.insert(path, Entry::Symlink { target }),
        };
        let arrow = format!("{} -> {target}", path.as_str());
        Err(SourceError::invalid(&arrow, problem))
    }

    /// Adds a second name for a file that came before.
    pub(crate) fn hard_link(&mut self, path: TreePath, target: &TreePath) -> Result<(), SourceError> {
        match self.entries.get(target).cloned() {
            Some(file @ Entry::File { content, .. }) => {
                self.weigh(&path, content.bytes)?;
                self.insert(path, file)
            }
            _ => {
                let problem = format!("a hard link to `{target}`, which is no file that came before it in the archive");
                Err(SourceError::invalid(path.as_str(), problem))
            }
        }
    }

    pub(crate) fn finish(self) -> Result<SourceTree, SourceError> {
        links::check(&self.entries)?;
        Ok(SourceTree { entries: Arc::new(self.entries), spool: Arc::new(self.spool) })
    }

    fn weigh(&mut self, path: &TreePath, bytes: u64) -> Result<(), SourceError> {
        let Limits { file_bytes, total_bytes, .. } = self.limits;
        if bytes > file_bytes {
            let what = format!("`{path}` has {bytes} bytes, a file may have {file_bytes}");
            return Err(SourceError::TooLarge { what });
        }
        self.total = self.total.saturating_add(bytes);
        if self.total > total_bytes {
            let what = format!("the files have more than {total_bytes} bytes together");
            return Err(SourceError::TooLarge { what });
        }
        Ok(())
    }

    fn insert(&mut self, path: TreePath, entry: Entry) -> Result<(), SourceError> {
        let mut parent = path.parent();
        let mut missing = Vec::new();
        while let Some(folder) = parent {
            match self.entries.get(&folder) {
                Some(Entry::Folder) => break,
                Some(_) => {
                    let problem = format!("it lies beneath `{folder}`, which is not a folder");
                    return Err(SourceError::invalid(path.as_str(), problem));
                }
                None => {}
            }
            parent = folder.parent();
            missing.push(folder);
        }
        for folder in missing.into_iter().rev() {
            self.insert_one(folder, Entry::Folder)?;
        }
        self.insert_one(path, entry)
    }

    fn insert_one(&mut self, path: TreePath, entry: Entry) -> Result<(), SourceError> {
        if self.entries.contains_key(&path) {
            return Err(SourceError::invalid(path.as_str(), "there are two entries of this name"));
        }
        if self.entries.len() >= self.limits.entries {
            let what = format!("more than {} files and folders", self.limits.entries);
            return Err(SourceError::TooLarge { what });
        }
        if self.limits.case == CaseCollisions::Refuse
            && let Some(other) = self.folded.insert(path.as_str().to_lowercase(), path.clone())
        {
            let problem = format!("it differs from `{other}` in case alone: rename one of the two");
            return Err(SourceError::invalid(path.as_str(), problem));
        }
        self.entries.insert(path, entry);
        Ok(())
    }
}
