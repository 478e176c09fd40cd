use std::collections::HashSet;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// What a tree of files takes on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUse {
    /// The blocks of all files and directories, in bytes: what a hole spares is not counted, a file with several names
    /// once. What takes no block counts 1 KiB, since it takes an inode and a name.
    pub bytes: u64,
    /// How many files and directories there are.
    pub entries: u64,
    /// Whether there is more than was counted, because the [`Bounds`] were reached.
    pub is_cut: bool,
}

/// How much of a tree is looked at. What writes it may do its worst, and measuring it must not take for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many files and directories are counted.
    pub entries: u64,
    /// How deep directories are followed. Each level takes a file descriptor.
    pub depth: usize,
}

impl Default for Bounds {
    /// Two million files, 256 directories deep: about as deep as a path that the kernel takes goes.
    fn default() -> Self {
        Self { entries: 2_000_000, depth: 256 }
    }
}

/// What a file without a block counts.
const LEAST: u64 = 1_024;

impl DiskUse {
    /// Measures the tree at `root`. It blocks. Links are never followed, and no other file system is entered. What
    /// comes, goes or moves meanwhile may be counted or not, or twice.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn of(root: &Path, bounds: Bounds) -> io::Result<Self> {
        const DIRECTORY: OFlags =
            OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        let top = rustix::fs::open(root, DIRECTORY, Mode::empty())?;
        let own = rustix::fs::fstat(&top)?;
        let mut sum = Self::default();
        sum.add(own.st_blocks);
        let mut linked = HashSet::new();
        let mut open = vec![Dir::new(top)?];
        loop {
            let level = open.len();
            let Some(directory) = open.last_mut() else { break };
            let Some(entry) = directory.read() else {
                open.pop();
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if sum.entries >= bounds.entries {
                sum.is_cut = true;
                break;
            }
            let parent = directory.fd()?;
            let found = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                found => found?,
            };
            if found.st_dev != own.st_dev {
                continue;
            }
            let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            if !is_directory && found.st_nlink > 1 && !linked.insert(found.st_ino) {
                continue;
            }
            sum.add(found.st_blocks);
            if !is_directory {
                continue;
            }
            if level >= bounds.depth {
                sum.is_cut = true;
                continue;
            }
            match openat(parent, name, DIRECTORY, Mode::empty()) {
                Ok(child) => open.push(Dir::new(child)?),
                // It is gone, or something else has its name.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sum)
    }

    /// Of the sum of two trees.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            entries: self.entries.saturating_add(other.entries),
            is_cut: self.is_cut || other.is_cut,
        }
    }

    /// What it has grown by since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(before.bytes),
            entries: self.entries.saturating_sub(before.entries),
            is_cut: self.is_cut,
        }
    }

    fn add(&mut self, blocks: impl TryInto<u64>) {
        let bytes = blocks.try_into().unwrap_or(0).saturating_mul(512).max(LEAST);
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries += 1;
    }
}
