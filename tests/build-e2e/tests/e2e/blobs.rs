//! The blobs of a test over those that all share.

use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::Timestamp;
use flynn_core::local::DirBlobs;
use flynn_core::port::{Blob, BlobError, BlobReader, Blobs};
use flynn_core::value::Digest;

/// Reads from both, writes to its own.
pub(crate) struct OverBases {
    pub(crate) own: DirBlobs,
    pub(crate) bases: Arc<DirBlobs>,
}

#[async_trait]
impl Blobs for OverBases {
    async fn put(&self, content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        self.own.put(content, expected).await
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        match self.own.open(digest).await {
            Err(BlobError::NotFound { .. }) => self.bases.open(digest).await,
            outcome => outcome,
        }
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        match self.own.stat(digest).await? {
            Some(blob) => Ok(Some(blob)),
            None => self.bases.stat(digest).await,
        }
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        self.own.remove(digest, put_before).await
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        self.own.list(after, limit).await
    }
}
