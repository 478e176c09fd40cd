use std::collections::BTreeMap;

/// What a layer's archive says of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: EntryKind,
    /// The lower twelve bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u64,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What kind of file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A file whose content has this many bytes.
    File(u64),
    Directory,
    Symlink(Vec<u8>),
    /// A further name of a file that came before.
    HardLink(Vec<u8>),
    Fifo,
    Device,
}

/// How the OCI image specification marks what a layer takes away (layer, "Representing Changes", "Whiteouts").
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// The name in a directory that hides all of the layers below in it.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names that older tools used for purposes of their own.
pub(crate) const RESERVED: &[u8] = b".wh..wh.";
