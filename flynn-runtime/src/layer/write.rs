//! Writing a layer's archive: the same entries give the same bytes.

use std::io::{self, Read, Write};
use std::path::Path;

use super::LayerError;
use super::entry::{Entry, EntryKind};
use super::header::{BLOCK, Header, Kind, MOST_NAME, MOST_OCTAL, MOST_OWNER};

/// Writes entry after entry.
pub(crate) struct ArchiveWriter<W> {
    output: W,
}

impl<W: Write> ArchiveWriter<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output }
    }

    /// Writes an entry that has no content.
    pub(crate) fn empty(&mut self, entry: &Entry) -> Result<(), LayerError> {
        self.head(entry).map_err(LayerError::Stream)
    }

    /// Writes a file of `bytes` bytes, which `content` at `place` must have.
    pub(crate) fn file(
        &mut self,
        entry: &Entry,
        bytes: u64,
        content: impl Read,
        place: &Path,
    ) -> Result<(), LayerError> {
        self.head(entry).map_err(LayerError::Stream)?;
        let mut content = content.take(bytes);
        let mut buffer = vec![0; 128 << 10];
        let mut left = bytes;
        while left > 0 {
            let read = content.read(&mut buffer).map_err(LayerError::disk(place))?;
            if read == 0 {
                return Err(LayerError::entry(&entry.path, "it became shorter while it was read"));
            }
            self.output.write_all(&buffer[..read]).map_err(LayerError::Stream)?;
            left -= read as u64;
        }
        self.pad(bytes).map_err(LayerError::Stream)
    }

    /// Ends the archive and gives back what it was written to.
    pub(crate) fn finish(mut self) -> Result<W, LayerError> {
        let end = self.output.write_all(&[0; 2 * BLOCK]).and_then(|()| self.output.flush());
        end.map_err(LayerError::Stream)?;
        Ok(self.output)
    }

    fn head(&mut self, entry: &Entry) -> io::Result<()> {
        let (kind, bytes, target) = match &entry.kind {
            EntryKind::File(bytes) => (Kind::File, *bytes, &[][..]),
            EntryKind::Directory => (Kind::Directory, 0, &[][..]),
            EntryKind::Symlink(target) => (Kind::Symlink, 0, &target[..]),
            EntryKind::HardLink(target) => (Kind::HardLink, 0, &target[..]),
            EntryKind::Fifo => (Kind::Fifo, 0, &[][..]),
            EntryKind::Device => (Kind::Device, 0, &[][..]),
        };
        let header = Header {
            kind,
            path: entry.path.clone(),
            target: target.to_vec(),
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            bytes,
            mtime: entry.mtime,
        };
        let attributes = attributes(entry, &header);
        if !attributes.is_empty() {
            let bytes = attributes.len() as u64;
            let (path, target) = (b"pax".to_vec(), vec![]);
            let pax = Header { kind: Kind::Pax, path, target, mode: 0o644, uid: 0, gid: 0, bytes, mtime: 0 };
            self.output.write_all(&pax.format())?;
            self.output.write_all(&attributes)?;
            self.pad(bytes)?;
        }
        self.output.write_all(&header.format())
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let padding = bytes.next_multiple_of(BLOCK as u64) - bytes;
        io::copy(&mut io::repeat(0).take(padding), &mut self.output).map(drop)
    }
}

/// What does not fit in a header, in the order of the keys.
fn attributes(entry: &Entry, header: &Header) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in &entry.xattrs {
        record(&mut data, &[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    if header.gid > MOST_OWNER {
        record(&mut data, b"gid", header.gid.to_string().as_bytes());
    }
    if header.target.len() > MOST_NAME {
        record(&mut data, b"linkpath", &header.target);
    }
    if header.mtime > MOST_OCTAL {
        record(&mut data, b"mtime", header.mtime.to_string().as_bytes());
    }
    if header.path.len() > MOST_NAME {
        record(&mut data, b"path", &header.path);
    }
    if header.bytes > MOST_OCTAL {
        record(&mut data, b"size", header.bytes.to_string().as_bytes());
    }
    if header.uid > MOST_OWNER {
        record(&mut data, b"uid", header.uid.to_string().as_bytes());
    }
    data
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(data: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    data.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        data.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::read::ArchiveReader;
    use super::*;

    fn entry() -> impl Strategy<Value = (Entry, Vec<u8>)> {
        let path = prop_oneof!["[a-z]{1,12}", "[a-z/]{90,260}", "[ä-ü]{1,60}"].prop_map(String::into_bytes);
        let content = prop::collection::vec(any::<u8>(), 0..1_500);
        let xattrs = prop::collection::btree_map(
            "user\\.[a-z]{1,9}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..1_200),
            0..3,
        );
        let owner = prop_oneof![0_u32..2_000, any::<u32>()];
        let kind = (0_u8..5, "[a-z/]{1,200}");
        (path, content, xattrs, (owner.clone(), owner), kind, 0_u32..0o10000, 0_u64..1 << 40).prop_map(
            |(path, content, xattrs, (uid, gid), (kind, target), mode, mtime)| {
                let target = target.into_bytes();
                let (path, kind, content) = match kind {
                    0 => ([&path[..], b"x"].concat(), EntryKind::File(content.len() as u64), content),
                    1 => ([&path[..], b"/"].concat(), EntryKind::Directory, vec![]),
                    2 => (path, EntryKind::Symlink(target), vec![]),
                    3 => (path, EntryKind::HardLink(target), vec![]),
                    _ => (path, EntryKind::Fifo, vec![]),
                };
                (Entry { path, kind, mode, uid, gid, mtime, xattrs }, content)
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(entries in prop::collection::vec(entry(), 0..8)) {
            let mut writer = ArchiveWriter::new(Vec::new());
            for (entry, content) in &entries {
                match entry.kind {
                    EntryKind::File(bytes) => writer.file(entry, bytes, &content[..], Path::new("")).unwrap(),
                    _ => writer.empty(entry).unwrap(),
                }
            }
            let archive = writer.finish().unwrap();
            prop_assert_eq!(archive.len() % BLOCK, 0);
            let mut reader = ArchiveReader::new(&archive[..]);
            for (entry, content) in &entries {
                let found = reader.next().unwrap();
                prop_assert_eq!(found.as_ref(), Some(entry));
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                prop_assert_eq!(&read, content);
            }
            prop_assert_eq!(reader.next().unwrap(), None);
        }

        #[test]
        fn damage_is_an_error_and_no_panic((entry, _) in entry(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut writer = ArchiveWriter::new(Vec::new());
            writer.empty(&entry).unwrap();
            let mut archive = writer.finish().unwrap();
            let at = at.index(archive.len());
            archive[at] = byte;
            let mut reader = ArchiveReader::new(&archive[..]);
            while let Ok(Some(_)) = reader.next() {}
        }
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in 0..1_200 {
            let mut data = Vec::new();
            record(&mut data, b"k", &vec![b'v'; length]);
            let stated: usize = std::str::from_utf8(&data).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(stated, data.len());
        }
    }

    #[test]
    fn a_large_file_is_announced_in_an_attribute() {
        let bytes = MOST_OCTAL + 1;
        let kind = EntryKind::File(bytes);
        let path = b"large".to_vec();
        let entry = Entry { path, kind, mode: 0o600, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() };
        let mut writer = ArchiveWriter::new(Vec::new());
        writer.empty(&entry).unwrap();
        let archive = writer.finish().unwrap();
        assert_eq!(ArchiveReader::new(&archive[..]).next().unwrap(), Some(entry));
    }
}
