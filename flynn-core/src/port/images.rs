use std::path::PathBuf;

use async_trait::async_trait;

use crate::error::BoxError;
use crate::port::BlobReader;
use crate::value::Digest;

/// A node's cache of images by digest. What it lacks it takes from the [`Blobs`](crate::port::Blobs).
#[async_trait]
pub trait Images: Send + Sync {
    /// The image whose manifest has this digest, all of its layers present and unpacked or unpackable.
    ///
    /// # Errors
    /// `NotFound` if neither the cache nor what it fills itself from has it.
    async fn resolve(&self, manifest: Digest) -> Result<Image, ImageError>;

    /// Reads a manifest, configuration or layer.
    ///
    /// # Errors
    /// `NotFound`.
    async fn open(&self, digest: Digest) -> Result<BlobReader, ImageError>;

    /// Takes content in. It is visible only when complete and verified.
    ///
    /// # Errors
    /// `Corrupt` if the content has another digest.
    async fn put(&self, digest: Digest, content: BlobReader) -> Result<(), ImageError>;

    /// Forgets content. What a prepared snapshot still uses stays until that is discarded.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn remove(&self, digest: Digest) -> Result<(), ImageError>;
}

/// An image that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of its configuration.
    pub config: Digest,
    /// The digests of its layers, the lowest first.
    pub layers: Vec<Digest>,
}

/// Makes file systems out of layers.
#[async_trait]
pub trait Snapshots: Send + Sync {
    /// A writable file system over a chain of layers, the lowest first. The layers themselves never change.
    ///
    /// # Errors
    /// `NotFound` names the missing layer.
    async fn prepare(&self, chain: &[Digest]) -> Result<Prepared, ImageError>;

    /// Makes what was written since `prepare` into a layer, and discards the snapshot. The same content
    /// gives the same digest.
    ///
    /// # Errors
    /// `NotFound` for an unknown key.
    async fn commit(&self, key: &SnapshotKey) -> Result<Digest, ImageError>;

    /// Throws away what was written. An unknown key is no error.
    ///
    /// # Errors
    /// `Unavailable` if it is still in use.
    async fn discard(&self, key: &SnapshotKey) -> Result<(), ImageError>;
}

/// Names a prepared snapshot, across restarts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotKey(pub String);

/// A writable file system that can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Its name.
    pub key: SnapshotKey,
    /// How to mount it, in this order.
    pub mounts: Vec<Mount>,
}

/// One mount: the plain value in which images, volumes and containers meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, below the root of the container.
    pub target: PathBuf,
    /// Whether it can be written.
    pub read_only: bool,
}

/// What can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountSource {
    /// A directory or file of the node.
    Bind(PathBuf),
    /// Layers under one writable directory.
    Overlay {
        /// The read-only directories, the lowest first.
        lower: Vec<PathBuf>,
        /// Where changes go.
        upper: PathBuf,
        /// Scratch space on the file system of `upper`.
        work: PathBuf,
    },
    /// Memory, up to this many bytes.
    Tmpfs {
        /// The limit.
        bytes: u64,
    },
}

/// Why an image or snapshot is not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It is not there.
    #[error("{operation}: {what} is not there")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// What is missing.
        what: String,
    },
    /// Content is not what its digest says.
    #[error("{operation}: the content of {expected} has the digest {actual}")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// What it should be.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// An image that cannot be read or run.
    #[error("{operation}: {problem}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The node cannot do it at present, such as for want of disk space.
    #[error("{operation}: the node cannot do this at present")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}
