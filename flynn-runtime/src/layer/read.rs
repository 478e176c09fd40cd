//! Reading a layer's archive, which somebody else may have made.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::LayerError;
use super::entry::{Entry, EntryKind};
use super::header::{BLOCK, Header, Kind};

/// The most bytes of attributes in one header.
const MOST_ATTRIBUTES: u64 = 1 << 20;
/// The most headers of attributes in front of one entry.
const MOST_ATTRIBUTE_HEADERS: usize = 8;
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Entry after entry. Between two of them it can be read from: that is the content of the first.
pub(crate) struct ArchiveReader<R> {
    input: R,
    /// Of the present entry's content.
    left: u64,
    padding: u64,
}

/// What headers of attributes said about the entry that follows them.
#[derive(Default)]
struct Attributes {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    bytes: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<u64>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    headers: usize,
}

impl<R: Read> ArchiveReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// The next entry; none at the end of the archive. What is left of the last one's content is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, LayerError> {
        let mut attributes = Attributes::default();
        loop {
            self.pass_over()?;
            let block = self.block()?;
            if block == [0; BLOCK] {
                if attributes.headers > 0 {
                    return Err(LayerError::damaged("it ends after the attributes of an entry"));
                }
                return Ok(None);
            }
            let header = Header::parse(&block)?;
            match header.kind {
                Kind::Pax | Kind::PaxGlobal | Kind::GnuLongPath | Kind::GnuLongTarget => {
                    self.attribute(&header, &mut attributes)?;
                }
                _ => return self.entry(header, attributes).map(Some),
            }
        }
    }

    /// Reads what follows the end of the archive, so that a digest or checksum is one of all there is.
    pub(crate) fn finish(mut self) -> Result<(), LayerError> {
        io::copy(&mut self.input, &mut io::sink()).map(drop).map_err(LayerError::reading)
    }

    fn entry(&mut self, header: Header, with: Attributes) -> Result<Entry, LayerError> {
        let path = with.path.unwrap_or(header.path);
        let bytes = with.bytes.unwrap_or(header.bytes);
        let target = with.target.unwrap_or(header.target);
        let kind = match header.kind {
            // Before ustar, a directory was a file whose name ends in a slash.
            Kind::File if path.ends_with(b"/") => EntryKind::Directory,
            Kind::File => EntryKind::File(bytes),
            Kind::HardLink => EntryKind::HardLink(target),
            Kind::Symlink => EntryKind::Symlink(target),
            Kind::Directory => EntryKind::Directory,
            Kind::Fifo => EntryKind::Fifo,
            Kind::Device => EntryKind::Device,
            Kind::Unknown(b'S') => {
                return Err(LayerError::entry(&path, "it is a sparse file: pack it without --sparse"));
            }
            Kind::Unknown(other) => {
                return Err(LayerError::entry(&path, format!("it is of the unknown type `{}`", other.escape_ascii())));
            }
            Kind::Pax | Kind::PaxGlobal | Kind::GnuLongPath | Kind::GnuLongTarget => {
                return Err(LayerError::damaged("attributes in the place of an entry"));
            }
        };
        // Some tools give links the size of what they lead to; only files have content.
        if let EntryKind::File(bytes) = kind {
            self.expect(bytes)?;
        }
        Ok(Entry {
            path,
            kind,
            mode: header.mode,
            uid: with.uid.unwrap_or(header.uid),
            gid: with.gid.unwrap_or(header.gid),
            mtime: with.mtime.unwrap_or(header.mtime),
            xattrs: with.xattrs,
        })
    }

    fn attribute(&mut self, header: &Header, attributes: &mut Attributes) -> Result<(), LayerError> {
        attributes.headers += 1;
        if attributes.headers > MOST_ATTRIBUTE_HEADERS {
            return Err(LayerError::damaged("too many headers of attributes in front of one entry"));
        }
        if header.bytes > MOST_ATTRIBUTES {
            return Err(LayerError::damaged(format!("the attributes of an entry exceed {MOST_ATTRIBUTES} bytes")));
        }
        self.expect(header.bytes)?;
        let mut data = Vec::new();
        self.read_to_end(&mut data).map_err(LayerError::reading)?;
        match header.kind {
            Kind::GnuLongPath => attributes.path = Some(until_nul(data)),
            Kind::GnuLongTarget => attributes.target = Some(until_nul(data)),
            Kind::Pax => attributes.pax(&data)?,
            // Global attributes name nothing that would make sense for more than one entry.
            _ => {}
        }
        Ok(())
    }

    fn expect(&mut self, bytes: u64) -> Result<(), LayerError> {
        let padded = bytes.checked_next_multiple_of(BLOCK as u64);
        let padded = padded.ok_or_else(|| LayerError::TooLarge("an entry is larger than can be".to_owned()))?;
        (self.left, self.padding) = (bytes, padded - bytes);
        Ok(())
    }

    fn pass_over(&mut self) -> Result<(), LayerError> {
        io::copy(self, &mut io::sink()).map_err(LayerError::reading)?;
        let padding = std::mem::take(&mut self.padding);
        let passed = io::copy(&mut (&mut self.input).take(padding), &mut io::sink()).map_err(LayerError::reading)?;
        if passed < padding { Err(LayerError::reading(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }

    fn block(&mut self) -> Result<[u8; BLOCK], LayerError> {
        let mut block = [0; BLOCK];
        self.input.read_exact(&mut block).map_err(LayerError::reading)?;
        Ok(block)
    }
}

impl<R: Read> Read for ArchiveReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl Attributes {
    /// Records of the form `LENGTH KEY=VALUE\n`, where the length is that of the whole record.
    fn pax(&mut self, mut data: &[u8]) -> Result<(), LayerError> {
        let wrong = || LayerError::damaged("a pax header is not well formed");
        while !data.is_empty() {
            let space = data.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let (length, _) = data.split_at(space);
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
            let length = length.ok_or_else(wrong)?;
            let record = data.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let text = || std::str::from_utf8(value).map_err(|_| wrong());
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.bytes = Some(text()?.parse().map_err(|_| wrong())?),
                b"uid" => self.uid = Some(text()?.parse().map_err(|_| wrong())?),
                b"gid" => self.gid = Some(text()?.parse().map_err(|_| wrong())?),
                b"mtime" => {
                    let whole = text()?.split('.').next().unwrap_or_default();
                    self.mtime = Some(whole.parse::<i64>().map_err(|_| wrong())?.try_into().unwrap_or_default());
                }
                key if key.starts_with(XATTR) => {
                    self.xattrs.insert(key[XATTR.len()..].to_vec(), value.to_vec());
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(LayerError::damaged("it has sparse files: pack it without --sparse"));
                }
                _ => {}
            }
            data = data.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}
