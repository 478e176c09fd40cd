//! Extended attributes: those that layers carry, and those by which overlay file systems are marked.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lremovexattr, lsetxattr};
use rustix::io::Errno;

/// As much as the kernel takes for one value, and for the names of one file.
const MOST: usize = 64 << 10;

/// Whether overlay file systems are mounted with rights over the whole machine or as a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// `trusted.overlay.`
    Trusted,
    /// `user.overlay.`, for mounts with `userxattr`.
    User,
}

impl Marks {
    fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }

    /// Marks a directory as one that hides what lower layers have in it.
    pub(crate) fn hide_lower(self, directory: &Path) -> io::Result<()> {
        Ok(lsetxattr(directory, self.opaque(), b"y", XattrFlags::empty())?)
    }

    /// Whether a directory hides what lower layers have in it.
    pub(crate) fn hides_lower(self, directory: &Path) -> io::Result<bool> {
        Ok(get(directory, self.opaque().as_bytes())?.is_some_and(|value| value == b"y"))
    }
}

/// Whether a layer carries an attribute. Marks of overlay file systems, which could make a layer reach into
/// others, and labels of the node's own security modules are not carried.
pub(crate) fn is_carried(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        name => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
    }
}

/// The carried attributes of a file, not following a symlink.
pub(crate) fn carried(path: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for name in names(path)?.into_iter().filter(|name| is_carried(name)) {
        if let Some(value) = get(path, &name)? {
            found.insert(name, value);
        }
    }
    Ok(found)
}

/// Sets attributes of a file, not following a symlink.
pub(crate) fn set(path: &Path, xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> io::Result<()> {
    for (name, value) in xattrs.iter().filter(|(name, _)| is_carried(name)) {
        lsetxattr(path, name.as_slice(), value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Takes off a file what no layer carries, but for the mark of a directory that hides what is below.
pub(crate) fn clean(path: &Path, marks: Marks) -> io::Result<()> {
    for name in names(path)? {
        if !is_carried(&name) && name != marks.opaque().as_bytes() && name.starts_with(marks.prefix()) {
            lremovexattr(path, name.as_slice())?;
        }
    }
    Ok(())
}

impl Marks {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.",
            Self::User => b"user.overlay.",
        }
    }
}

fn names(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut buffer = [0_u8; 512];
    let list = match llistxattr(path, &mut buffer) {
        Ok(count) => buffer[..count].to_vec(),
        Err(Errno::NOTSUP) => return Ok(vec![]),
        Err(Errno::RANGE) => {
            let mut buffer = vec![0_u8; MOST];
            let count = llistxattr(path, &mut buffer[..])?;
            buffer.truncate(count);
            buffer
        }
        Err(error) => return Err(error.into()),
    };
    Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

fn get(path: &Path, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0_u8; 1024];
    loop {
        match lgetxattr(path, name, &mut buffer[..]) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(Some(buffer));
            }
            Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
            Err(Errno::RANGE) if buffer.len() < MOST => buffer.resize(MOST, 0),
            Err(error) => return Err(error.into()),
        }
    }
}
