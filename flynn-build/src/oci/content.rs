//! Reading blobs, within limits.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use flynn_core::value::Digest;
use sha2::{Digest as _, Sha256};

use super::LayoutError;
use crate::source::ContentReader;

/// A small file as a whole.
pub(super) fn read(reader: ContentReader, most: u64) -> Result<Vec<u8>, LayoutError> {
    let mut text = Vec::new();
    reader.take(most + 1).read_to_end(&mut text).map_err(broken)?;
    if text.len() as u64 > most {
        return Err(LayoutError::invalid(format!("a document has more than {most} bytes")));
    }
    Ok(text)
}

pub(super) fn digest_of(text: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(text).into())
}

pub(super) fn expect(digest: Digest, actual: Digest) -> Result<(), LayoutError> {
    if digest == actual {
        return Ok(());
    }
    Err(LayoutError::invalid(format!("the content of the blob {digest} has the digest {actual}")))
}

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
}

/// The digests of a layer as it lies there and unpacked, and how many bytes it has unpacked: at most `room`.
pub(super) fn unpacked(
    reader: ContentReader,
    packing: Packing,
    room: u64,
) -> Result<(Digest, Digest, u64), LayoutError> {
    let mut packed = Hashing { inner: reader, hash: Sha256::new() };
    let mut hash = Sha256::new();
    let bytes = match packing {
        Packing::Plain => pass(&mut packed, &mut hash, room)?,
        Packing::Gzip => {
            let mut unzipped = MultiGzDecoder::new(io::BufReader::with_capacity(128 << 10, &mut packed));
            pass(&mut unzipped, &mut hash, room)?
        }
    };
    // A decoder may leave what follows the end unread.
    io::copy(&mut packed, &mut io::sink()).map_err(broken)?;
    let digest = |hash: Sha256| Digest::from_bytes(hash.finalize().into());
    Ok((digest(packed.hash), digest(hash), bytes))
}

fn pass(reader: &mut dyn Read, hash: &mut Sha256, room: u64) -> Result<u64, LayoutError> {
    let mut buffer = vec![0; 128 << 10];
    let mut bytes = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                bytes += count as u64;
                if bytes > room {
                    return Err(LayoutError::invalid("its layers are larger unpacked than images may be"));
                }
                hash.update(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
    }
}

fn broken(error: io::Error) -> LayoutError {
    LayoutError::invalid(format!("a blob cannot be read: {error}"))
}

struct Hashing {
    inner: ContentReader,
    hash: Sha256,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
