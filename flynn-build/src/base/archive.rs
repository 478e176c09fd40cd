//! Root file systems that an operator made.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use flynn_core::port::BlobReader;
use flynn_core::value::Digest;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::MakeError;
use crate::source::WaitingReader;

const OPERATION: &str = "read the archive of a base image";

/// A name for the archive as it is, which another one would hardly have.
pub(super) fn key(path: &Path) -> io::Result<Digest> {
    let metadata = path.metadata()?;
    let mut hash = Sha256::new();
    hash.update(b"archive");
    hash.update(path.as_os_str().as_encoded_bytes());
    for number in
        [metadata.ino(), metadata.len(), metadata.mtime().cast_unsigned(), metadata.mtime_nsec().cast_unsigned()]
    {
        hash.update(number.to_le_bytes());
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

/// The content of the archive, decompressed.
pub(super) async fn read(path: PathBuf) -> Result<BlobReader, MakeError> {
    let opened = spawn_blocking(move || open(&path)).await.map_err(io::Error::other).flatten();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => MakeError::Invalid { operation: OPERATION, problem: error.to_string() },
        _ => MakeError::unavailable(OPERATION, error),
    };
    let reader: BlobReader = Box::new(WaitingReader::new(opened.map_err(failed)?));
    Ok(reader)
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send + Unpin>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(named)?;
    let is_gzip = head(&mut file).map_err(named)?.starts_with(&[0x1f, 0x8b]);
    file.seek(SeekFrom::Start(0))?;
    let start = match is_gzip {
        true => head(&mut MultiGzDecoder::new(&file)).map_err(named)?,
        false => head(&mut file).map_err(named)?,
    };
    if start.get(257..262) != Some(b"ustar") {
        let problem = format!("{} is no tar archive, plain or compressed by gzip", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    file.seek(SeekFrom::Start(0))?;
    let file = BufReader::with_capacity(256 << 10, file);
    Ok(match is_gzip {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    })
}

/// The next block, or less if there is less.
fn head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.take(512).read_to_end(&mut start)?;
    Ok(start)
}
