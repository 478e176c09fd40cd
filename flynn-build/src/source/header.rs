//! The 512-byte headers of a tar archive (POSIX.1-2024, pax, "ustar Interchange Format"; GNU's variants).

use super::SourceError;

pub(super) const BLOCK: usize = 512;

/// What a header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    Folder,
    /// Device nodes, sockets and pipes.
    Special(&'static str),
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

/// A header, read.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) executable: bool,
    pub(super) bytes: u64,
}

impl Header {
    /// Reads a block that is not all zero.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, SourceError> {
        if !checksum_holds(block) {
            return Err(SourceError::damaged("a header has a wrong checksum, or this is not a tar archive"));
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
            b'3' => Kind::Special("a character device"),
            b'4' => Kind::Special("a block device"),
            b'5' => Kind::Folder,
            b'6' => Kind::Special("a named pipe"),
            b'x' => Kind::Pax,
            b'g' => Kind::PaxGlobal,
            b'L' => Kind::GnuLongPath,
            b'K' => Kind::GnuLongTarget,
            b'S' => Kind::Special("a sparse file: pack it without --sparse"),
            other => Kind::Unknown(other),
        };
        let mode = number(&block[100..108])?;
        Ok(Self {
            kind,
            path,
            target: text(&block[157..257]).to_vec(),
            executable: mode & 0o100 != 0,
            bytes: number(&block[124..136])?,
        })
    }
}

fn checksum_holds(block: &[u8; BLOCK]) -> bool {
    let Ok(stated) = number(&block[148..156]) else {
        return false;
    };
    checksum(block) == stated
}

/// The sum of all bytes, those of the checksum itself taken as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u64 {
    block.iter().enumerate().map(|(i, byte)| if (148..156).contains(&i) { 32 } else { u64::from(*byte) }).sum()
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// An octal number, or a binary one if the first bit is set.
fn number(field: &[u8]) -> Result<u64, SourceError> {
    let wrong = || SourceError::damaged("a header has a field that is not a number");
    let (first, rest) = field.split_first().ok_or_else(wrong)?;
    if *first & 0x80 != 0 {
        // Negative numbers have the second bit set; nothing here can be negative.
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
}
