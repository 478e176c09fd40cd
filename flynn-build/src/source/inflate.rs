//! Which compression a stream has, and how far it may swell.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::{Limits, SourceError};

/// Below this many bytes a stream may swell as it likes: a small tree of empty files is mostly padding.
const FREE_BYTES: u64 = 8 << 20;

/// The beginnings of formats that people send in error.
const OTHERS: [(&[u8], &str); 5] = [
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh", "compressed with bzip2"),
    (b"\x1f\x9d", "compressed with compress"),
];

/// The tar stream inside `input`, which is that itself or compressed with gzip.
pub(super) fn open<'a>(input: impl Read + 'a, limits: Limits) -> Result<Box<dyn Read + 'a>, SourceError> {
    let taken = Rc::new(Cell::new(0));
    let mut input = BufReader::with_capacity(64 << 10, Counted { input, taken: taken.clone() });
    // A reader may give less than it has; ask until the longest signature is there.
    let mut head = [0; 6];
    let mut known = 0;
    while known < head.len() {
        match input.read(head.get_mut(known..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => known += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SourceError::reading(error)),
        }
    }
    let head = head.get(..known).unwrap_or_default().to_vec();
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(SourceError::damaged(format!("it is {name}: send a tar archive, plain or compressed with gzip")));
    }
    let is_gzip = head.starts_with(b"\x1f\x8b");
    let whole = io::Cursor::new(head).chain(input);
    if is_gzip {
        Ok(Box::new(Bounded { inner: MultiGzDecoder::new(whole), taken, given: 0, ratio: limits.ratio }))
    } else {
        Ok(Box::new(whole))
    }
}

struct Counted<R> {
    input: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

struct Bounded<R> {
    inner: MultiGzDecoder<R>,
    taken: Rc<Cell<u64>>,
    given: u64,
    ratio: u64,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given += count as u64;
        if self.given > FREE_BYTES && self.given > self.taken.get().saturating_mul(self.ratio) {
            let what = format!("the archive swells to more than {} times its compressed size", self.ratio);
            return Err(io::Error::other(SourceError::TooLarge { what }));
        }
        Ok(count)
    }
}
