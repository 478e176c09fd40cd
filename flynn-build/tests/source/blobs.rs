use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use flynn_build::source::{SourceError, SourceTree};
use flynn_core::Timestamp;
use flynn_core::port::{Blob, BlobError, BlobReader, Blobs};
use flynn_core::value::Digest;
use sha2::Digest as _;
use tokio::io::AsyncReadExt;

use crate::archive::{Archive, intake, listing, read};

/// Blobs in memory, with room for a given number of bytes.
struct Shelf {
    room: usize,
    blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
}

#[async_trait]
impl Blobs for Shelf {
    async fn put(&self, content: BlobReader, _: Option<Digest>) -> Result<Blob, BlobError> {
        let failed = |source| BlobError::Unavailable { operation: "put blob", source };
        let mut bytes = Vec::new();
        content.take(self.room as u64 + 1).read_to_end(&mut bytes).await.map_err(|error| failed(error.into()))?;
        if bytes.len() > self.room {
            return Err(failed("the disk is full".into()));
        }
        let digest = Digest::from_bytes(sha2::Sha256::digest(&bytes).into());
        let blob = Blob { digest, bytes: bytes.len() as u64, put_at: Timestamp::EPOCH };
        self.blobs.lock().unwrap().insert(digest, bytes);
        Ok(blob)
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        let bytes = self.blobs.lock().unwrap().get(&digest).cloned();
        let bytes = bytes.ok_or(BlobError::NotFound { operation: "open blob", digest })?;
        Ok(Box::new(std::io::Cursor::new(bytes)))
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        let blobs = self.blobs.lock().unwrap();
        let blob = |bytes: &Vec<u8>| Blob { digest, bytes: bytes.len() as u64, put_at: Timestamp::EPOCH };
        Ok(blobs.get(&digest).map(blob))
    }

    async fn remove(&self, digest: Digest) -> Result<(), BlobError> {
        self.blobs.lock().unwrap().remove(&digest);
        Ok(())
    }

    async fn list(&self, _: Option<Digest>, _: usize) -> Result<Vec<Blob>, BlobError> {
        Ok(Vec::new())
    }
}

fn tree() -> SourceTree {
    let noise: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    read(&Archive::default().file("d/noise", &noise).file("small", b"x").end()).unwrap()
}

#[tokio::test]
async fn a_tree_is_stored_under_its_digest_and_comes_back() {
    let shelf = Shelf { room: 10 << 20, blobs: Mutex::default() };
    let tree = tree();
    let blob = tree.store(&shelf).await.unwrap();
    assert_eq!(blob.digest, tree.digest().unwrap());
    let back = SourceTree::receive(shelf.open(blob.digest).await.unwrap(), &intake()).await.unwrap();
    assert_eq!(back.digest().unwrap(), blob.digest);
    assert_eq!(listing(&back), listing(&tree));
}

#[tokio::test]
async fn a_store_that_is_full_says_so() {
    let shelf = Shelf { room: 1_000, blobs: Mutex::default() };
    let error = tree().store(&shelf).await.unwrap_err();
    assert!(matches!(error, SourceError::Blobs(BlobError::Unavailable { .. })), "{error:?}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_refused() {
    let mut packed = Vec::new();
    std::io::copy(&mut tree().pack(), &mut packed).unwrap();
    packed.truncate(500_000);
    let cut: BlobReader = Box::new(std::io::Cursor::new(packed.clone()));
    assert!(matches!(SourceTree::receive(cut, &intake()).await, Err(SourceError::Damaged { .. })));
    let broken = resetting(packed);
    assert!(matches!(SourceTree::receive(broken, &intake()).await, Err(SourceError::Unavailable { .. })));
}

/// Gives `bytes` and then fails, as a connection that is reset does.
fn resetting(bytes: Vec<u8>) -> BlobReader {
    struct Reset;
    impl tokio::io::AsyncRead for Reset {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()))
        }
    }
    Box::new(std::io::Cursor::new(bytes).chain(Reset))
}
