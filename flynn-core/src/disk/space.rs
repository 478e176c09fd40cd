use std::fmt;
use std::io;
use std::path::Path;

use super::Size;

/// What is left of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub total: u64,
    /// What anybody may still use, in bytes: without what a file system keeps for root.
    pub free: u64,
    /// How many files can still be made, where the file system has a limit.
    pub files: Option<u64>,
}

/// The most that is kept free where nobody said how much.
const MOST_RESERVE: u64 = 1 << 30;
/// A file system that can hold fewer files more than this is as good as full.
const LEAST_FILES: u64 = 1_024;

impl Space {
    /// What is left where `path` is. It blocks for a moment.
    ///
    /// # Errors
    /// The path cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Self {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
            // A file system that makes room for files as it goes says that it has none at all.
            files: (found.f_files > 0).then_some(found.f_favail),
        })
    }

    /// What is kept free where nobody said how much: a twentieth of the whole, at most 1 GiB.
    pub fn usual_reserve(&self) -> u64 {
        MOST_RESERVE.min(self.total / 20)
    }

    /// What is wrong if less than `reserve` bytes, or hardly a file, are left.
    pub fn shortage(&self, reserve: u64) -> Option<Shortage> {
        let too_few = self.files.filter(|files| *files < LEAST_FILES);
        (self.free < reserve || too_few.is_some()).then_some(Shortage { free: self.free, reserve, files: too_few })
    }
}

/// Too little is left of a disk. It reads like `only 12 MiB are free, less than the 1 GiB that are kept free`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Shortage {
    /// What is left, in bytes.
    pub free: u64,
    /// What should be, in bytes.
    pub reserve: u64,
    /// How many files can still be made, if those are too few.
    pub files: Option<u64>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free, reserve, files } = self;
        match files {
            Some(files) if free >= reserve => write!(f, "only {files} more files can be made on it"),
            _ => write!(f, "only {} are free, less than the {} that are kept free", Size(*free), Size(*reserve)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_space_and_few_files_are_shortages() {
        let space = Space { total: 100 << 30, free: 2 << 30, files: Some(1 << 20) };
        assert_eq!(space.usual_reserve(), 1 << 30);
        assert_eq!(Space { total: 4 << 30, ..space }.usual_reserve(), (4 << 30) / 20);
        assert_eq!(space.shortage(1 << 30), None);
        let text = |space: Space| space.shortage(1 << 30).map(|shortage| shortage.to_string());
        let little = text(Space { free: 12 << 20, ..space });
        assert_eq!(little.as_deref(), Some("only 12 MiB are free, less than the 1 GiB that are kept free"));
        assert_eq!(text(Space { files: Some(3), ..space }).as_deref(), Some("only 3 more files can be made on it"));
        assert_eq!(text(Space { files: None, ..space }), None);
    }

    #[test]
    fn a_real_file_system_has_a_size() {
        let space = Space::of(&std::env::temp_dir()).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        assert!(Space::of(Path::new("/nowhere/at/all")).is_err());
    }
}
