//! Reading a tar archive that somebody else made.

use std::io::{self, Read};

use super::header::{BLOCK, Header, Kind};
use super::{Intake, SourceError, SourceTree, TreeBuilder, TreePath, inflate, printable};

/// The most bytes of attributes in front of one entry.
const MOST_ATTRIBUTES: u64 = 64 << 10;
/// The most headers of attributes in front of one entry.
const MOST_ATTRIBUTE_HEADERS: usize = 8;

impl SourceTree {
    /// Takes in a tar archive, plain or compressed with gzip. It blocks on `input` and on the disk.
    ///
    /// Owners, times, setuid and the like are forgotten. A hard link becomes a file of its own.
    ///
    /// # Errors
    /// `Invalid` for what has no place in a source tree: absolute paths, `..`, device nodes, symlinks out of the
    /// tree, hard links to what is not in it, two entries of one name, names that are not UTF-8. `TooLarge`,
    /// `Damaged`, and `Unavailable` for a failed read of `input` or a full disk.
    pub fn from_archive(input: impl Read, intake: &Intake) -> Result<Self, SourceError> {
        let mut reader = Reader { input: inflate::open(input, intake.limits)?, attributes: Attributes::default() };
        let mut tree = TreeBuilder::new(intake)?;
        while reader.entry(&mut tree)? {}
        reader.expect_nothing_more()?;
        tree.finish()
    }
}

struct Reader<'a> {
    input: Box<dyn Read + 'a>,
    attributes: Attributes,
}

/// What headers of attributes said about the entry that follows them.
#[derive(Default)]
struct Attributes {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    bytes: Option<u64>,
    headers: usize,
}

impl Reader<'_> {
    /// Moves one entry into `tree`; false at the end of the archive.
    fn entry(&mut self, tree: &mut TreeBuilder) -> Result<bool, SourceError> {
        let Some(header) = self.header()? else {
            return Ok(false);
        };
        match header.kind {
            Kind::Pax | Kind::PaxGlobal | Kind::GnuLongPath | Kind::GnuLongTarget => self.attribute(&header)?,
            _ => {
                let attributes = std::mem::take(&mut self.attributes);
                self.content(tree, header, attributes)?;
            }
        }
        Ok(true)
    }

    fn content(&mut self, tree: &mut TreeBuilder, header: Header, with: Attributes) -> Result<(), SourceError> {
        let path = utf8(with.path.unwrap_or(header.path))?;
        let parsed = TreePath::from_archive(&path).map_err(|problem| SourceError::invalid(&path, problem))?;
        let bytes = with.bytes.unwrap_or(header.bytes);
        let target = with.target.unwrap_or(header.target);
        let refuse = |problem: String| Err(SourceError::invalid(&path, problem));
        // Before ustar, a folder was a file whose name ends in a slash.
        let kind = if header.kind == Kind::File && path.ends_with('/') { Kind::Folder } else { header.kind };
        if bytes != 0 && matches!(kind, Kind::Folder | Kind::Symlink | Kind::HardLink) {
            return refuse("it is not a file and yet has content".into());
        }
        match (kind, parsed) {
            (Kind::Folder, None) => Ok(()),
            (Kind::Folder, Some(path)) => tree.folder(path),
            (Kind::Special(what), _) => refuse(format!("it is {what}")),
            (Kind::Unknown(flag), _) => refuse(format!("entries of type `{}` are not known", flag.escape_ascii())),
            (_, None) => refuse("it is the root, which has to be a folder".into()),
            (Kind::Symlink, Some(path)) => {
                let target = utf8(target)?;
                tree.symlink(path, target)
            }
            (Kind::HardLink, Some(own)) => {
                let target = utf8(target)?;
                match TreePath::from_archive(&target) {
                    Ok(Some(target)) => tree.hard_link(own, &target),
                    Ok(None) => refuse("a hard link to the root".into()),
                    Err(problem) => refuse(format!("a hard link to `{}`: {problem}", printable(&target))),
                }
            }
            (_, Some(path)) => {
                tree.file(path, header.executable, bytes, &mut *self.input)?;
                self.skip_padding(bytes)
            }
        }
    }

    fn attribute(&mut self, header: &Header) -> Result<(), SourceError> {
        self.attributes.headers += 1;
        if self.attributes.headers > MOST_ATTRIBUTE_HEADERS {
            return Err(SourceError::damaged("too many headers of attributes in front of one entry"));
        }
        if header.bytes > MOST_ATTRIBUTES {
            let what = format!("the attributes of an entry have more than {MOST_ATTRIBUTES} bytes");
            return Err(SourceError::TooLarge { what });
        }
        let mut data = Vec::new();
        let count = (&mut self.input).take(header.bytes).read_to_end(&mut data).map_err(SourceError::reading)? as u64;
        if count < header.bytes {
            return Err(SourceError::reading(io::ErrorKind::UnexpectedEof.into()));
        }
        self.skip_padding(header.bytes)?;
        match header.kind {
            Kind::GnuLongPath => self.attributes.path = Some(until_nul(data)),
            Kind::GnuLongTarget => self.attributes.target = Some(until_nul(data)),
            Kind::Pax => self.pax(&data)?,
            // Global attributes name no path that would make sense for more than one entry.
            _ => {}
        }
        Ok(())
    }

    /// Records of the form `LENGTH KEY=VALUE\n`, where the length is that of the whole record.
    fn pax(&mut self, mut data: &[u8]) -> Result<(), SourceError> {
        let wrong = || SourceError::damaged("a pax header is not well formed");
        while !data.is_empty() {
            let space = data.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let (length, _) = data.split_at(space);
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse::<usize>().ok());
            let length = length.ok_or_else(wrong)?;
            let record = data.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default());
            match key {
                b"path" => self.attributes.path = Some(value.to_vec()),
                b"linkpath" => self.attributes.target = Some(value.to_vec()),
                b"size" => {
                    let text = std::str::from_utf8(value).ok();
                    self.attributes.bytes = Some(text.and_then(|text| text.parse().ok()).ok_or_else(wrong)?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(SourceError::damaged("it has sparse files: pack it without --sparse"));
                }
                _ => {}
            }
            data = data.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, SourceError> {
        let block = self.block()?;
        if block != [0; BLOCK] {
            return Header::parse(&block).map(Some);
        }
        if self.attributes.headers > 0 && self.attributes.path.is_some() {
            return Err(SourceError::damaged("it ends after the attributes of an entry"));
        }
        if self.block()? != [0; BLOCK] {
            return Err(SourceError::damaged("something follows its end"));
        }
        Ok(None)
    }

    fn block(&mut self) -> Result<[u8; BLOCK], SourceError> {
        let mut block = [0; BLOCK];
        self.input.read_exact(&mut block).map_err(SourceError::reading)?;
        Ok(block)
    }

    fn skip_padding(&mut self, bytes: u64) -> Result<(), SourceError> {
        let padding = bytes.next_multiple_of(BLOCK as u64) - bytes;
        let skipped = io::copy(&mut (&mut self.input).take(padding), &mut io::sink()).map_err(SourceError::reading)?;
        if skipped < padding { Err(SourceError::reading(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }

    /// Reads to the end, so that a checksum of the compression is compared as well.
    fn expect_nothing_more(&mut self) -> Result<(), SourceError> {
        let mut buffer = [0; 8 << 10];
        loop {
            match self.input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if buffer.iter().take(count).all(|byte| *byte == 0) => {}
                Ok(_) => return Err(SourceError::damaged("something follows its end")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SourceError::reading(error)),
            }
        }
    }
}

fn utf8(bytes: Vec<u8>) -> Result<String, SourceError> {
    String::from_utf8(bytes)
        .map_err(|error| SourceError::invalid(&String::from_utf8_lossy(error.as_bytes()), "its name is not UTF-8"))
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}
