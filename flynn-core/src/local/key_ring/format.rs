use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chacha20poly1305::aead::Generate;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::error::BoxError;
use crate::time::Timestamp;
use crate::value::KeyId;

const FORMAT: &str = "flynn-key-ring";
const VERSION: &str = "1";

/// How a key file begins.
pub(super) const PREAMBLE: &str = "\
flynn-key-ring 1
# Sealed values can be opened with these keys only: keep a copy in another place.
";

/// One key of the ring. Its cipher wipes the key when it is dropped.
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) created_at: Timestamp,
    pub(super) cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, made at {:?})", self.id.0, self.created_at)
    }
}

/// A key file as it was read.
pub(super) struct Loaded {
    pub(super) text: Zeroizing<String>,
    pub(super) keys: Vec<Key>,
}

pub(super) enum LoadError {
    Read(io::Error),
    Exposed { mode: u32 },
    Malformed(Malformed),
}

/// What is wrong with which line. It quotes nothing, as that may be a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    line: usize,
    problem: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

pub(super) fn load(path: &Path) -> Result<Loaded, LoadError> {
    let mut file = File::open(path).map_err(LoadError::Read)?;
    let metadata = file.metadata().map_err(LoadError::Read)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(LoadError::Exposed { mode });
    }
    // With room for all of it, so that reading does not move it and leave a copy.
    let room = usize::try_from(metadata.len()).unwrap_or(0) + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.read_to_end(&mut bytes).map_err(LoadError::Read)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        LoadError::Malformed(Malformed { line, problem: "not UTF-8" })
    })?;
    let keys = parse(text).map_err(LoadError::Malformed)?;
    Ok(Loaded { text: Zeroizing::new(text.to_owned()), keys })
}

/// The keys of a key file, in its order; at least one.
pub(super) fn parse(text: &str) -> Result<Vec<Key>, Malformed> {
    let mut lines = (1..).zip(text.lines());
    let header = lines.next().map_or("", |(_, line)| line);
    match header.split_once(' ') {
        Some((FORMAT, VERSION)) => {}
        Some((FORMAT, _)) => return Err(Malformed { line: 1, problem: "this version of the format is not known" }),
        _ => return Err(Malformed { line: 1, problem: "expected `flynn-key-ring 1`" }),
    }
    let (mut keys, mut ids, mut last) = (Vec::new(), BTreeSet::new(), 1);
    for (line, content) in lines {
        last = line;
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let key = parse_key(content).map_err(|problem| Malformed { line, problem })?;
        if !ids.insert(key.id.clone()) {
            return Err(Malformed { line, problem: "another key has this id" });
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(Malformed { line: last, problem: "the file ends without a key" });
    }
    Ok(keys)
}

fn parse_key(line: &str) -> Result<Key, &'static str> {
    let fields: Vec<&str> = line.split(' ').collect();
    let ["key", id, created_at, hex] = fields[..] else {
        return Err("expected `key`, an id, a time and a key, with one space between them");
    };
    let of_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if id.is_empty() || id.len() > 64 || !id.bytes().all(of_id) {
        return Err("an id is 1 to 64 lower-case letters, digits and dashes");
    }
    let digits = created_at.bytes().all(|byte| byte.is_ascii_digit());
    let created_at = created_at.parse().ok().filter(|_| digits);
    let created_at = created_at.ok_or("the time is no number of milliseconds")?;
    let bytes = parse_hex(hex).ok_or("a key is 64 lower-case hexadecimal digits")?;
    Ok(Key {
        id: KeyId(id.to_owned()),
        created_at: Timestamp::from_millis(created_at),
        cipher: XChaCha20Poly1305::new((&*bytes).into()),
    })
}

fn parse_hex(hex: &str) -> Option<Zeroizing<[u8; 32]>> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = Zeroizing::new([0; 32]);
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// The id and the line of a random key.
pub(super) fn generate(now: Timestamp) -> Result<(KeyId, Zeroizing<String>), BoxError> {
    let id = KeyId(format!("k{:016x}", u64::try_generate()?));
    let key = Zeroizing::new(<[u8; 32]>::try_generate()?);
    // With room for all of it, so that it does not move and leave a copy.
    let mut line = Zeroizing::new(String::with_capacity(256));
    line.push_str(&format!("key {} {} ", id.0, now.as_millis()));
    for nibble in key.iter().flat_map(|byte| [byte >> 4, byte & 0xf]) {
        line.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
    }
    line.push('\n');
    Ok((id, line))
}
