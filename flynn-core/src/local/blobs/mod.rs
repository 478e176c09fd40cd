use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;

use self::incoming::Incoming;
use self::layout::Layout;
use self::reader::VerifyingReader;
use crate::port::{Blob, BlobError, BlobReader, Blobs};
use crate::time::{Clock, Timestamp};
use crate::value::Digest;

mod incoming;
mod layout;
mod reader;

/// How much is read or written at a time.
const CHUNK: usize = 256 << 10;

/// Blobs in a directory: `sha256/ab/cdef…` is the content with the digest `sha256:abcdef…`, and its
/// modification time is when it was put last.
///
/// * Content is written to `incoming/`, synced, and then renamed; an acknowledged put outlives the machine's
///   power. A file in `incoming/` is locked for as long as its writer lives, so that the next
///   [`open`](DirBlobs::open) knows what a dead one left behind.
/// * Reading verifies: of content that has changed on the disk a reader gets no more than the chunks of
///   256 KiB before the last one, and then an error. Such content stays until it is removed, as only its
///   owner can say where to get it again; `put` replaces it by itself only if the length is wrong too.
/// * Files whose names are not digests are never touched.
/// * All work on files is done by the blocking threads of the tokio runtime that it is called from.
#[derive(Debug)]
pub struct DirBlobs {
    layout: Arc<Layout>,
    clock: Arc<dyn Clock>,
}

impl DirBlobs {
    /// Opens the blobs in the directory `root`, which is made if it is missing, and removes what puts of
    /// dead processes left behind. Directories that it makes are for their owner only.
    ///
    /// # Errors
    /// `Unavailable` if the directory cannot be made, read or written.
    pub async fn open(root: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self, BlobError> {
        let layout = Layout::new(root.into());
        let layout = on_files("open the directory of blobs", move || {
            layout.make()?;
            incoming::sweep(&layout)?;
            Ok(layout)
        })
        .await?;
        Ok(Self { layout: Arc::new(layout), clock })
    }
}

#[async_trait]
impl Blobs for DirBlobs {
    async fn put(&self, mut content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        let operation = "put";
        let layout = self.layout.clone();
        let mut incoming = on_files(operation, move || Incoming::create(&layout)).await?;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            if let Err(source) = (&mut content).take(CHUNK as u64).read_to_end(&mut chunk).await {
                on_files(operation, move || {
                    incoming.discard();
                    Ok(())
                })
                .await?;
                return Err(unavailable(operation, source));
            }
            if chunk.is_empty() {
                break;
            }
            incoming = on_files(operation, move || incoming.append(&chunk)).await?;
        }
        let actual = incoming.digest();
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            on_files(operation, move || {
                incoming.discard();
                Ok(())
            })
            .await?;
            return Err(BlobError::Corrupt { operation, expected, actual });
        }
        let (layout, clock) = (self.layout.clone(), self.clock.clone());
        on_files(operation, move || incoming.publish(&layout, &*clock)).await
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        let operation = "open";
        let layout = self.layout.clone();
        let opened = on_files(operation, move || layout.open(digest)).await?;
        let (file, bytes) = opened.ok_or(BlobError::NotFound { operation, digest })?;
        Ok(Box::new(VerifyingReader::new(file, digest, bytes)))
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        let layout = self.layout.clone();
        on_files("stat", move || layout.find(digest)).await
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        let layout = self.layout.clone();
        on_files("remove", move || layout.remove(digest, put_before)).await
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        let layout = self.layout.clone();
        on_files("list", move || layout.list(after, limit)).await
    }
}

/// Works on files where blocking is allowed.
async fn on_files<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BlobError> {
    let done = spawn_blocking(work).await.map_err(io::Error::from);
    done.flatten().map_err(|source| unavailable(operation, source))
}

fn unavailable(operation: &'static str, source: io::Error) -> BlobError {
    BlobError::Unavailable { operation, source: source.into() }
}
