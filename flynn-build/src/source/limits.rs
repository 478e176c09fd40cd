use std::path::PathBuf;

/// How a tree is taken in: within which limits, and where its content is kept meanwhile.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The limits.
    pub limits: Limits,
    /// An existing folder for one unnamed file per tree, as large as the tree. The file is gone with the tree.
    pub spool: PathBuf,
}

impl Intake {
    /// Within the default limits, with content kept in `spool`.
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        Self { limits: Limits::default(), spool: spool.into() }
    }
}

/// What a tree may amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files, links and folders, those that are only implied by a path included.
    pub entries: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files together; each hard link counts as a file.
    pub total_bytes: u64,
    /// How many bytes a compressed byte may become, averaged over the stream.
    pub ratio: u64,
    /// What happens to two names that differ in case alone.
    pub case: CaseCollisions,
}

impl Default for Limits {
    /// 200,000 entries, 512 MiB a file, 1 GiB together, a ratio of 200, no case collisions.
    fn default() -> Self {
        Self { entries: 200_000, file_bytes: 512 << 20, total_bytes: 1 << 30, ratio: 200, case: CaseCollisions::Refuse }
    }
}

/// What happens to names that differ in case alone, such as `Makefile` and `makefile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseCollisions {
    /// The tree is refused: on many machines, one of the two would silently replace the other.
    Refuse,
    /// They are two files.
    Accept,
}
