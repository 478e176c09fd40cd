use async_trait::async_trait;
use tokio::io::AsyncRead;

use crate::error::BoxError;
use crate::time::Timestamp;
use crate::value::Digest;

/// The authoritative store of layers, source trees and repository packs, by digest.
///
/// A release is committed only after its blobs are durable, so `put` returns only then.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Takes content in and says its digest. It is visible only when complete. Content that is there already
    /// is not written again, but counts as written at this moment.
    ///
    /// # Errors
    /// `Corrupt` if `expected` is given and is not its digest; `Unavailable` for a read or write that
    /// failed, such as on a full disk. Nothing is left behind.
    async fn put(&self, content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError>;

    /// Reads content from its beginning. Should it have lost its digest in the meantime, then reading fails
    /// with [`InvalidData`](std::io::ErrorKind::InvalidData) before its last byte is handed out.
    ///
    /// # Errors
    /// `NotFound` or `Unavailable`.
    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError>;

    /// What is there under a digest; none if nothing is.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError>;

    /// Removes content that was last put before `put_before`. What was put since then stays, so that whoever
    /// put it between the decision to remove it and this call does not lose it. What is not there is no
    /// error. Whoever reads it at the moment reads on.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError>;

    /// All complete blobs after `after` in the order of their digests, at most `limit`: how a collector
    /// finds what no live object names.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError>;
}

/// A stream of bytes that a blob is read from or written to.
pub type BlobReader = Box<dyn AsyncRead + Send + Unpin>;

/// What is known of a blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was last put.
    pub put_at: Timestamp,
}

/// Why a blob store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The blob is not there.
    #[error("{operation}: there is no blob {digest}")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// The blob.
        digest: Digest,
    },
    /// The content is not what was expected.
    #[error("{operation}: the content should have the digest {expected} and has {actual}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// What it should be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// It cannot be done at present.
    #[error("{operation}: the blob store is unavailable")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}
