//! Unpacking a layer from the blobs.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use flynn_core::port::ImageError;
use flynn_core::value::Digest;
use sha2::{Digest as _, Sha256};

use super::manifest::Compression;
use super::place::LayerRecord;
use super::store::{ImageStore, told, unavailable};
use crate::layer::{Applied, LayerError, LayerLimits, Rules, apply, pipe};

/// A header, its attributes and padding: what an entry may take beside its content.
const MOST_OVERHEAD: u64 = 8 << 10;
const GZIP: &[u8] = &[0x1f, 0x8b];

impl ImageStore {
    /// Makes sure that a layer is here, unpacked. What is not said of it is found out.
    pub(crate) async fn fill(
        &self,
        operation: &'static str,
        digest: Digest,
        compression: Option<Compression>,
        diff_id: Option<Digest>,
    ) -> Result<LayerRecord, ImageError> {
        let turn = self.turns.wait(digest).await;
        let now = self.clock.now();
        let here = self.on_place(operation, move |place| {
            let _usage = place.usage();
            let record = place.look(digest)?;
            if record.is_some() {
                place.touch_layer(digest, now)?;
                place.set_forgotten(digest, false)?;
            }
            Ok(record)
        });
        let verify = move |record: LayerRecord| match diff_id.filter(|expected| *expected != record.diff_id) {
            Some(expected) => Err(ImageError::Corrupt { operation, expected, actual: record.diff_id }),
            None => Ok(record),
        };
        if let Some(record) = here.await? {
            return verify(record);
        }
        let content = self.blobs.open(digest).await.map_err(|error| told(operation, error))?;
        let (place, rules) = (Arc::clone(&self.place), self.rules);
        let done = pipe::read_blocking(content, move |input| {
            // Also when nobody waits for it any more, nobody else begins before this has ended.
            let _turn = turn;
            let ready = place.incoming().map_err(|error| error.told(operation))?;
            let unpacked = unpack(input, &ready.join("fs"), compression, rules);
            let published = match unpacked {
                Ok(Unpacked { digest: actual, .. }) if actual != digest => {
                    Err(ImageError::Corrupt { operation, expected: digest, actual })
                }
                Ok(Unpacked { diff_id, applied: Applied { entries, bytes, has_root }, .. }) => {
                    let record = LayerRecord { diff_id, entries, bytes, has_root };
                    verify(record).and_then(|record| {
                        let published = place.publish(&ready, digest, &record, now);
                        published.map(|()| record).map_err(|error| error.told(operation))
                    })
                }
                Err((_, Some(actual))) if actual != digest => {
                    Err(ImageError::Corrupt { operation, expected: digest, actual })
                }
                Err((error, _)) => Err(error.told(operation)),
            };
            if published.is_err() {
                place.delete(Some(ready));
            }
            published
        });
        done.await.map_err(|error| unavailable(operation, error))?
    }
}

struct Unpacked {
    /// Of the archive as it came.
    digest: Digest,
    /// Of the archive before compression.
    diff_id: Digest,
    applied: Applied,
}

/// Unpacks a stream into `target`, which it makes. An error comes with the digest of the stream if that could
/// be read to its end, since damage shows in many ways.
fn unpack(
    input: impl Read,
    target: &Path,
    compression: Option<Compression>,
    rules: Rules,
) -> Result<Unpacked, (LayerError, Option<Digest>)> {
    let mut input = BufReader::with_capacity(128 << 10, Hashing::new(input));
    let mut begin = || -> Result<Compression, LayerError> {
        std::fs::create_dir(target).map_err(LayerError::disk(target))?;
        match compression {
            Some(known) => Ok(known),
            None => {
                let head = input.fill_buf().map_err(LayerError::reading)?;
                Ok(if head.starts_with(GZIP) { Compression::Gzip } else { Compression::None })
            }
        }
    };
    let compression = begin().map_err(|error| (error, None))?;
    let unpacked = match compression {
        Compression::None => {
            apply(Bounded::new(&mut input, rules.limits), target, rules).map(|applied| (applied, None))
        }
        Compression::Gzip => {
            let mut plain = Hashing::new(MultiGzDecoder::new(&mut input));
            apply(Bounded::new(&mut plain, rules.limits), target, rules).map(|applied| (applied, Some(plain.digest())))
        }
    };
    let rest = io::copy(&mut input, &mut io::sink()).map_err(LayerError::reading);
    let digest = input.into_inner().digest();
    match (unpacked, rest) {
        (Ok((applied, diff_id)), Ok(_)) => Ok(Unpacked { digest, diff_id: diff_id.unwrap_or(digest), applied }),
        (Err(error), Ok(_)) => Err((error, Some(digest))),
        (Ok(_), Err(error)) | (Err(error), Err(_)) => Err((error, None)),
    }
}

/// Takes the digest of what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    fn digest(self) -> Digest {
        Digest::from_bytes(self.hasher.finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Fails beyond what a layer within the limits can have, whatever it swells to.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, limits: LayerLimits) -> Self {
        let overhead = limits.entries.saturating_mul(MOST_OVERHEAD).saturating_add(1 << 20);
        Self { inner, left: limits.bytes.saturating_add(overhead) }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "its archive is longer than its files can be"));
            }
        }
        Ok(count)
    }
}
