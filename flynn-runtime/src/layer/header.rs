//! The 512-byte headers of a tar archive (POSIX.1-2024, pax, "ustar Interchange Format"; GNU's variants).

use super::LayerError;

pub(super) const BLOCK: usize = 512;

/// The largest number that eleven octal digits hold.
pub(super) const MOST_OCTAL: u64 = 0o777_7777_7777;
/// The largest owner that seven octal digits hold.
pub(super) const MOST_OWNER: u32 = 0o777_7777;
/// The longest path that fits without an attribute.
pub(super) const MOST_NAME: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    Device,
    /// Attributes of the next entry.
    Pax,
    /// Attributes of all entries that follow.
    PaxGlobal,
    /// The path of the next entry.
    GnuLongPath,
    /// The target of the next entry.
    GnuLongTarget,
    Unknown(u8),
}

/// A header as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) bytes: u64,
    /// Seconds since 1970; what was before is 0.
    pub(super) mtime: u64,
}

impl Header {
    /// Reads a block that is not all zero.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, LayerError> {
        if number(&block[148..156])? != checksum(block) {
            return Err(LayerError::damaged("a header has a wrong checksum, or this is not a tar archive"));
        }
        let mut path = text(&block[0..100]).to_vec();
        // GNU's own format keeps other things where ustar keeps the prefix.
        if &block[257..263] == b"ustar\0" {
            let prefix = text(&block[345..500]);
            if !prefix.is_empty() {
                path = [prefix, b"/", &path].concat();
            }
        }
        let kind = match block[156] {
            b'0' | b'\0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'x' => Kind::Pax,
            b'g' => Kind::PaxGlobal,
            b'L' => Kind::GnuLongPath,
            b'K' => Kind::GnuLongTarget,
            other => Kind::Unknown(other),
        };
        let owner = |field: &[u8]| {
            u32::try_from(number(field)?).map_err(|_| LayerError::damaged("an owner is larger than any can be"))
        };
        let mtime = &block[136..148];
        Ok(Self {
            kind,
            path,
            target: text(&block[157..257]).to_vec(),
            mode: u32::try_from(number(&block[100..108])? & 0o7777).unwrap_or_default(),
            uid: owner(&block[108..116])?,
            gid: owner(&block[116..124])?,
            bytes: number(&block[124..136])?,
            mtime: if mtime[0] == 0xff { 0 } else { number(mtime)? },
        })
    }

    /// Writes a block. What does not fit is cut off: whoever calls this has said it in attributes.
    pub(super) fn format(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, room: usize, bytes: &[u8]| {
            let count = bytes.len().min(room);
            block[at..at + count].copy_from_slice(&bytes[..count]);
        };
        put(0, MOST_NAME, &self.path);
        put(100, 8, format!("{:07o}", self.mode).as_bytes());
        put(108, 8, format!("{:07o}", self.uid.min(MOST_OWNER)).as_bytes());
        put(116, 8, format!("{:07o}", self.gid.min(MOST_OWNER)).as_bytes());
        put(124, 12, format!("{:011o}", self.bytes.min(MOST_OCTAL)).as_bytes());
        put(136, 12, format!("{:011o}", self.mtime.min(MOST_OCTAL)).as_bytes());
        put(157, MOST_NAME, &self.target);
        put(257, 8, b"ustar\x0000");
        block[156] = match self.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::Device => b'3',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
            Kind::Pax => b'x',
            Kind::PaxGlobal => b'g',
            Kind::GnuLongPath => b'L',
            Kind::GnuLongTarget => b'K',
            Kind::Unknown(other) => other,
        };
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[148..156].copy_from_slice(sum.as_bytes());
        block
    }
}

/// The sum of all bytes, those of the checksum itself taken as spaces.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    block.iter().enumerate().map(|(i, byte)| if (148..156).contains(&i) { 32 } else { u64::from(*byte) }).sum()
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// An octal number, or a binary one if the first bit is set.
fn number(field: &[u8]) -> Result<u64, LayerError> {
    let wrong = || LayerError::damaged("a header has a field that is not a number");
    let (first, rest) = field.split_first().ok_or_else(wrong)?;
    if *first & 0x80 != 0 {
        // Negative numbers have the second bit set, and only times may be negative.
        return rest.iter().try_fold(u64::from(*first & 0x7f), |sum, byte| {
            sum.checked_mul(256).map(|sum| sum + u64::from(*byte)).ok_or_else(wrong)
        });
    }
    let digits = field.trim_ascii_start().split(|byte| matches!(byte, 0 | b' ')).next().unwrap_or_default();
    digits.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8).map(|sum| sum + u64::from(digit - b'0')).ok_or_else(wrong),
        _ => Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        let check = |field: &[u8], expect: Option<u64>| assert_eq!(number(field).ok(), expect, "{field:?}");
        check(b"0000644\0", Some(0o644));
        check(b"    644 ", Some(0o644));
        check(b"\0\0\0\0", Some(0));
        check(&[0x80, 0, 0, 1, 0], Some(256));
        check(&[0xff; 12], None);
        check(b"00009\0", None);
        check(b"7777777777777777777777777\0", None);
    }

    #[test]
    fn a_time_before_1970_is_1970() {
        let header = Header {
            kind: Kind::File,
            path: b"a".to_vec(),
            target: vec![],
            mode: 0o644,
            uid: 0,
            gid: 0,
            bytes: 0,
            mtime: 5,
        };
        let mut block = header.format();
        block[136..148].copy_from_slice(&[0xff; 12]);
        let sum = format!("{:06o}\0 ", checksum(&block));
        block[148..156].copy_from_slice(sum.as_bytes());
        assert_eq!(Header::parse(&block).unwrap(), Header { mtime: 0, ..header });
    }
}
