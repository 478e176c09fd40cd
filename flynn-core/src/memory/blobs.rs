use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;

use crate::port::{Blob, BlobError, BlobReader, Blobs};
use crate::time::{Clock, SystemClock, Timestamp};
use crate::value::Digest;

/// Blobs in memory. It holds whatever is put until that is removed.
#[derive(Debug)]
pub struct MemoryBlobs {
    clock: Arc<dyn Clock>,
    kept: Mutex<BTreeMap<Digest, Kept>>,
}

struct Kept {
    content: Arc<[u8]>,
    put_at: Timestamp,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, put at {:?}", self.content.len(), self.put_at)
    }
}

impl Kept {
    fn describe(&self, digest: Digest) -> Blob {
        Blob { digest, bytes: self.content.len() as u64, put_at: self.put_at }
    }
}

impl Default for MemoryBlobs {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryBlobs {
    /// No blobs.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Digest, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, mut content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        let operation = "put";
        let mut bytes = Vec::new();
        let read = content.read_to_end(&mut bytes).await;
        read.map_err(|source| BlobError::Unavailable { operation, source: source.into() })?;
        let actual = Digest::from_bytes(Sha256::digest(&bytes).into());
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            return Err(BlobError::Corrupt { operation, expected, actual });
        }
        let mut kept = self.kept();
        let put_at = self.clock.now();
        let blob = kept.entry(actual).or_insert_with(|| Kept { content: bytes.into(), put_at });
        blob.put_at = put_at;
        Ok(blob.describe(actual))
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        let kept = self.kept();
        let blob = kept.get(&digest).ok_or(BlobError::NotFound { operation: "open", digest })?;
        Ok(Box::new(Cursor::new(blob.content.clone())))
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        Ok(self.kept().get(&digest).map(|blob| blob.describe(digest)))
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        let mut kept = self.kept();
        if kept.get(&digest).is_some_and(|blob| blob.put_at < put_before) {
            kept.remove(&digest);
        }
        Ok(())
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = self.kept();
        let page = kept.range((from, Bound::Unbounded)).take(limit);
        Ok(page.map(|(digest, blob)| blob.describe(*digest)).collect())
    }
}
