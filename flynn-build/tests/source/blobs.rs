use async_trait::async_trait;
use flynn_build::source::{SourceError, SourceTree};
use flynn_core::port::{Blob, BlobError, BlobReader, Blobs};
use flynn_core::value::Digest;
use flynn_core::{MemoryBlobs, Timestamp};
use tokio::io::AsyncReadExt;

use crate::archive::{Archive, intake, listing, read};

/// A store whose disk is full.
struct Full;

fn full<T>(operation: &'static str) -> Result<T, BlobError> {
    Err(BlobError::Unavailable { operation, source: "the disk is full".into() })
}

#[async_trait]
impl Blobs for Full {
    async fn put(&self, mut content: BlobReader, _: Option<Digest>) -> Result<Blob, BlobError> {
        let mut first = [0; 1_000];
        let _ = content.read_exact(&mut first).await;
        full("put blob")
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        Err(BlobError::NotFound { operation: "open blob", digest })
    }

    async fn stat(&self, _: Digest) -> Result<Option<Blob>, BlobError> {
        Ok(None)
    }

    async fn remove(&self, _: Digest, _: Timestamp) -> Result<(), BlobError> {
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
    let shelf = MemoryBlobs::default();
    let tree = tree();
    let blob = tree.store(&shelf).await.unwrap();
    assert_eq!(blob.digest, tree.digest().unwrap());
    let back = SourceTree::receive(shelf.open(blob.digest).await.unwrap(), &intake()).await.unwrap();
    assert_eq!(back.digest().unwrap(), blob.digest);
    assert_eq!(listing(&back), listing(&tree));
}

#[tokio::test]
async fn a_store_that_is_full_says_so() {
    let error = tree().store(&Full).await.unwrap_err();
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
