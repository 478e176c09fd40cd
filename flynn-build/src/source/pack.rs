//! Writing a tree as a tar archive that depends on nothing but the tree.

use std::collections::VecDeque;
use std::io::{self, Read};

use flynn_core::value::Digest;
use sha2::{Digest as _, Sha256};

use super::header::{BLOCK, checksum};
use super::{Content, ContentReader, Entry, SourceError, SourceTree, TreePath};

/// The time of every file: the first second of 1980 and one more. Archives of the zip family know nothing earlier,
/// and Python makes them of what it installs.
pub(super) const MTIME: u64 = 315_532_801;

impl SourceTree {
    /// The tree as an uncompressed tar archive. It is the same bytes for the same content: entries in the order of
    /// their paths, folders included, owner 0, modes 0755 and 0644, a fixed time.
    pub fn pack(&self) -> Packed {
        self.pack_beneath(None, (0, 0))
    }

    /// The same with everything beneath `folder`, which becomes an entry too, and with another user and group.
    pub fn pack_beneath(&self, folder: Option<&TreePath>, owner: (u32, u32)) -> Packed {
        let mut parts = VecDeque::new();
        if let Some(folder) = folder {
            let mut head = Vec::new();
            header_into(&mut head, &format!("{}/", folder.as_str()), "", b'5', 0o755, 0, owner);
            parts.push_back(Part::Bytes(io::Cursor::new(head)));
        }
        for (path, entry) in self.entries() {
            let path = match folder {
                Some(folder) => format!("{}/{}", folder.as_str(), path.as_str()),
                None => path.as_str().to_owned(),
            };
            let mut head = Vec::new();
            match entry {
                Entry::Folder => header_into(&mut head, &format!("{path}/"), "", b'5', 0o755, 0, owner),
                Entry::Symlink { target } => header_into(&mut head, &path, target, b'2', 0o777, 0, owner),
                Entry::File { executable, content } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    header_into(&mut head, &path, "", b'0', mode, content.bytes(), owner);
                }
            }
            parts.push_back(Part::Bytes(io::Cursor::new(head)));
            if let Entry::File { content, .. } = entry {
                parts.push_back(Part::Content(*content));
                let padding = content.bytes().next_multiple_of(BLOCK as u64) - content.bytes();
                parts.push_back(Part::Zeros(padding));
            }
        }
        parts.push_back(Part::Zeros(2 * BLOCK as u64));
        Packed { tree: self.clone(), parts, open: None }
    }

    /// The digest of the packed tree. It reads the whole tree from the disk and blocks meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if the spool cannot be read.
    pub fn digest(&self) -> Result<Digest, SourceError> {
        let mut hash = Sha256::new();
        let mut packed = self.pack();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match packed.read(&mut buffer) {
                Ok(0) => return Ok(Digest::from_bytes(hash.finalize().into())),
                Ok(count) => hash.update(buffer.get(..count).unwrap_or_default()),
                Err(error) => return Err(SourceError::unavailable("read the spool of a source tree", error)),
            }
        }
    }
}

/// Reads a tree as a tar archive.
#[derive(Debug)]
pub struct Packed {
    tree: SourceTree,
    parts: VecDeque<Part>,
    open: Option<ContentReader>,
}

#[derive(Debug)]
enum Part {
    Bytes(io::Cursor<Vec<u8>>),
    Content(Content),
    Zeros(u64),
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = match self.parts.front_mut() {
                None => return Ok(0),
                Some(Part::Bytes(bytes)) => bytes.read(buffer)?,
                Some(Part::Content(content)) => {
                    self.open.get_or_insert_with(|| self.tree.open(*content)).read(buffer)?
                }
                Some(Part::Zeros(left)) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                    buffer.iter_mut().take(count).for_each(|byte| *byte = 0);
                    *left -= count as u64;
                    count
                }
            };
            if count > 0 {
                return Ok(count);
            }
            self.open = None;
            self.parts.pop_front();
        }
    }
}

/// Writes the header of an entry; one of attributes in front of it where ustar has no room or no letters.
pub(crate) fn header_into(
    out: &mut Vec<u8>,
    path: &str,
    target: &str,
    flag: u8,
    mode: u32,
    bytes: u64,
    owner: (u32, u32),
) {
    let fits = |text: &str| text.len() <= 100 && text.is_ascii();
    let mut records = Vec::new();
    for (key, value) in [("path", path), ("linkpath", target)] {
        if !fits(value) {
            records.extend(record(key, value));
        }
    }
    if !records.is_empty() {
        block(out, "PaxHeader", "", b'x', 0o644, records.len() as u64, owner);
        out.extend(&records);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    let short = |text| if fits(text) { text } else { "long" };
    block(out, short(path), short(target), flag, mode, bytes, owner);
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() > rest.to_string().len() {
        length += 1;
    }
    format!("{length} {key}={value}\n").into_bytes()
}

fn block(out: &mut Vec<u8>, path: &str, target: &str, flag: u8, mode: u32, bytes: u64, owner: (u32, u32)) {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
    put(0, path.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, format!("{:07o}", owner.0).as_bytes());
    put(116, format!("{:07o}", owner.1).as_bytes());
    put(124, format!("{bytes:011o}").as_bytes());
    put(136, format!("{MTIME:011o}").as_bytes());
    put(156, &[flag]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    let sum = checksum(&block);
    let sum = format!("{sum:06o}\0 ");
    block.iter_mut().skip(148).zip(sum.as_bytes()).for_each(|(to, from)| *to = *from);
    out.extend(block);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for length in 0..300 {
            let record = record("path", &"x".repeat(length));
            let stated: usize = std::str::from_utf8(&record).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(stated, record.len());
        }
    }
}
