use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flynn_core::port::LogLine;

use super::archive::Archive;
use super::origin::Origin;
use super::part::{Part, PartId};
use crate::shim::{LogRecord, Tag};

/// Read at once.
const BLOCK: usize = 64 << 10;
/// Of one log no more than this is read before the lines are handed on.
const MOST_AT_ONCE: usize = 1 << 20;
/// What is read backwards of one log to find its newest lines.
const MOST_BACK: u64 = 8 << 20;

/// How far one log was read.
#[derive(Debug)]
pub(super) struct Cursor {
    origin: Origin,
    at: Option<(PartId, File)>,
    offset: u64,
    /// The beginning of a record whose end is not written yet.
    rest: Vec<u8>,
    /// The beginnings of lines that were too long for one record.
    parts: [String; 3],
}

impl Cursor {
    /// At the first line that is kept.
    pub(super) fn at_the_beginning(origin: Origin) -> Self {
        Self { origin, at: None, offset: 0, rest: Vec::new(), parts: Default::default() }
    }

    /// Before the newest `last` lines, so far as they are kept and not too long.
    pub(super) fn before_the_last(archive: &Archive, origin: Origin, last: usize) -> io::Result<Self> {
        let mut cursor = Self::at_the_beginning(origin);
        let (parts, _) = archive.parts(origin)?;
        let (mut lines, mut bytes) = (last, MOST_BACK);
        for part in parts.iter().rev() {
            let Some(file) = part.open()? else { continue };
            let size = file.metadata()?.len();
            let (offset, found) = back(&file, size, lines, bytes)?;
            cursor.at = Some((part.id, file));
            cursor.offset = offset;
            if offset > 0 || found >= lines {
                break;
            }
            lines -= found;
            bytes = bytes.saturating_sub(size);
        }
        Ok(cursor)
    }

    /// Reads on. Answers the lines, and whether nothing will follow them.
    pub(super) fn read(&mut self, archive: &Archive) -> io::Result<(Vec<LogLine>, bool)> {
        let mut lines = Vec::new();
        let mut read = 0;
        while read < MOST_AT_ONCE {
            let count = self.read_block(&mut lines)?;
            read += count;
            if count > 0 {
                continue;
            }
            match self.next(archive)? {
                // What was added to the last file before the next one was begun comes first.
                Next::Part(part) => {
                    while self.read_block(&mut lines)? > 0 {}
                    if !self.move_to(&part)? {
                        break;
                    }
                }
                Next::Later => break,
                Next::Never => {
                    while self.read_block(&mut lines)? > 0 {}
                    return Ok((lines, true));
                }
            }
        }
        Ok((lines, false))
    }

    fn next(&self, archive: &Archive) -> io::Result<Next> {
        let own = self.at.as_ref().map(|(id, _)| *id);
        if own.is_some() && archive.newest(self.origin)? == own {
            return Ok(Next::Later);
        }
        let (parts, is_complete) = archive.parts(self.origin)?;
        let place = own.and_then(|own| parts.iter().position(|part| part.id == own));
        // Those before the own one are read, and one that is not there any more was older than all that are.
        let next = parts.into_iter().nth(place.map_or(0, |place| place + 1));
        Ok(match next {
            Some(part) => Next::Part(part),
            None if is_complete => Next::Never,
            None => Next::Later,
        })
    }

    /// False if it has got another name in the meantime.
    fn move_to(&mut self, part: &Part) -> io::Result<bool> {
        let Some(file) = part.open()? else { return Ok(false) };
        self.at = Some((part.id, file));
        self.offset = 0;
        // A record does not go on in the next file.
        self.rest.clear();
        Ok(true)
    }

    fn read_block(&mut self, lines: &mut Vec<LogLine>) -> io::Result<usize> {
        let Some((_, file)) = &self.at else { return Ok(0) };
        let mut block = vec![0; BLOCK];
        let count = file.read_at(&mut block, self.offset)?;
        self.offset += count as u64;
        self.rest.extend_from_slice(&block[..count]);
        let mut from = 0;
        while let Some(end) = self.rest[from..].iter().position(|&byte| byte == b'\n') {
            let record = String::from_utf8_lossy(&self.rest[from..from + end]).parse::<LogRecord>();
            from += end + 1;
            // What is no record was cut off by a full disk.
            if let Ok(record) = record {
                lines.extend(take(self.origin, &mut self.parts, record));
            }
        }
        self.rest.drain(..from);
        Ok(count)
    }
}

enum Next {
    Part(Part),
    /// It may come.
    Later,
    Never,
}

/// The line that a record completes.
fn take(origin: Origin, parts: &mut [String; 3], record: LogRecord) -> Option<LogLine> {
    let part = &mut parts[match record.tag {
        Tag::Output => 0,
        Tag::Errors => 1,
        Tag::Platform => 2,
    }];
    part.push_str(&record.text);
    // A line without an end is given out in pieces.
    if record.continued && part.len() < MOST_AT_ONCE {
        return None;
    }
    Some(LogLine { at: record.at, stream: origin.stream(record.tag), text: std::mem::take(part) })
}

/// Where the last `lines` records of the first `size` bytes of a file begin, and how many there are. No more than
/// `most` bytes are read.
fn back(file: &File, size: u64, lines: usize, most: u64) -> io::Result<(u64, usize)> {
    let mut found = 0;
    let mut end = size;
    // Where the earliest record found so far begins.
    let mut begin = None;
    while end > 0 && size - end < most {
        let from = end.saturating_sub(BLOCK as u64);
        let mut block = vec![0; usize::try_from(end - from).unwrap_or(BLOCK)];
        file.read_exact_at(&mut block, from)?;
        for (place, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = from + place as u64 + 1;
            if begin.is_some() {
                found += 1;
            }
            begin = Some(after);
            if found == lines {
                return Ok((after, found));
            }
        }
        end = from;
    }
    match begin {
        // All of it was read, and the first record begins with the file.
        Some(_) if end == 0 => Ok((0, found + 1)),
        Some(begin) => Ok((begin, found)),
        None => Ok((end, 0)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Reading backwards finds what splitting forwards finds.
        #[test]
        fn the_last_records_are_found(lengths in prop::collection::vec(0_usize..40_000, 0..20), torn in any::<bool>(), wanted in 0_usize..25) {
            let mut text = String::new();
            for length in &lengths {
                text.push_str(&"x".repeat(*length));
                text.push('\n');
            }
            let whole = text.len() as u64;
            if torn {
                text.push_str("torn");
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let (offset, found) = back(&file, text.len() as u64, wanted, u64::MAX).unwrap();
            let expected = wanted.min(lengths.len());
            if lengths.is_empty() {
                prop_assert_eq!((offset, found), (0, 0));
            } else {
                prop_assert_eq!(found, expected);
                let tail: u64 = lengths.iter().rev().take(expected).map(|length| *length as u64 + 1).sum();
                prop_assert_eq!(offset, whole - tail);
            }
        }
    }
}
