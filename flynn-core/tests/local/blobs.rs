use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::conformance::{BlobsHarness, ManualClock};
use flynn_core::local::DirBlobs;
use flynn_core::port::{Blob, BlobError, BlobReader, Blobs};
use flynn_core::value::Digest;
use flynn_core::{Clock, SystemClock, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod corruption;
mod full_disk;

mod suite {
    use super::InDirectory;

    flynn_core::blobs_conformance!(InDirectory::new());
}

struct InDirectory(TempDir);

impl InDirectory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl BlobsHarness for InDirectory {
    type Blobs = DirBlobs;

    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<DirBlobs> {
        Arc::new(DirBlobs::open(self.0.path(), clock).await.unwrap())
    }
}

/// The digest of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn open(root: &Path) -> DirBlobs {
    DirBlobs::open(root, Arc::new(SystemClock)).await.unwrap()
}

fn reader(content: impl Into<Vec<u8>>) -> BlobReader {
    Box::new(io::Cursor::new(content.into()))
}

async fn put(blobs: &DirBlobs, content: impl Into<Vec<u8>>) -> Blob {
    blobs.put(reader(content), None).await.unwrap()
}

async fn read(blobs: &DirBlobs, digest: Digest) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    blobs.open(digest).await.unwrap().read_to_end(&mut content).await?;
    Ok(content)
}

fn place(root: &Path, digest: Digest) -> PathBuf {
    root.join("sha256").join(&digest.hex()[..2]).join(&digest.hex()[2..])
}

fn incoming(root: &Path) -> Vec<PathBuf> {
    fs::read_dir(root.join("incoming")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

async fn until(condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.expect("the condition is never met");
}

#[tokio::test]
async fn content_lies_where_it_is_documented_and_is_its_owners() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("deep/blobs");
    let blob = put(&open(&root).await, "abc").await;
    assert_eq!(blob.digest.hex(), ABC);
    assert_eq!(fs::read(root.join("sha256/ba").join(&ABC[2..])).unwrap(), b"abc");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for made in ["deep", "deep/blobs", "deep/blobs/incoming", "deep/blobs/sha256", "deep/blobs/sha256/ba"] {
        assert_eq!(mode(directory.path().join(made)), 0o700, "{made}");
    }
    assert_eq!(mode(place(&root, blob.digest)), 0o600);
}

#[tokio::test]
async fn blobs_outlive_the_store_and_are_shared_by_several() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_234_567_890_123)));
    let first = DirBlobs::open(directory.path(), clock.clone()).await.unwrap();
    let second = DirBlobs::open(directory.path(), clock.clone()).await.unwrap();
    let blob = put(&first, "abc").await;
    assert_eq!(second.stat(blob.digest).await.unwrap(), Some(blob));
    drop((first, second));
    clock.advance(Duration::from_secs(60));
    let reopened = DirBlobs::open(directory.path(), clock).await.unwrap();
    assert_eq!(reopened.list(None, 10).await.unwrap(), [blob]);
    assert_eq!(read(&reopened, blob.digest).await.unwrap(), b"abc");
}

#[tokio::test]
async fn foreign_files_are_neither_seen_nor_touched() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let blobs = open(root).await;
    let blob = put(&blobs, "abc").await;
    let shard = root.join("sha256/00");
    let name = "0".repeat(61);
    let foreign = [
        root.join("README"),
        root.join("sha256/README"),
        root.join("incoming/README"),
        shard.join("README"),
        shard.join(&name),
        shard.join(format!("{name}00")),
        shard.join(format!("{name}A")),
        shard.join(format!("{name}g")),
    ];
    for path in &foreign {
        fs::write(path, "not ours").unwrap();
    }
    let folder = shard.join(format!("{name}1"));
    fs::create_dir(&folder).unwrap();
    let link = shard.join(format!("{name}2"));
    symlink(place(root, blob.digest), &link).unwrap();

    let blobs = {
        drop(blobs);
        open(root).await
    };
    assert_eq!(blobs.list(None, 100).await.unwrap(), [blob]);
    for last in ["1", "2"] {
        let digest: Digest = format!("sha256:00{name}{last}").parse().unwrap();
        assert_eq!(blobs.stat(digest).await.unwrap(), None);
        assert!(matches!(blobs.open(digest).await, Err(BlobError::NotFound { .. })));
        blobs.remove(digest, Timestamp::from_millis(u64::MAX)).await.unwrap();
    }
    assert!(foreign.iter().all(|path| fs::read(path).unwrap() == b"not ours"));
    assert!(folder.is_dir() && link.is_symlink());
}

#[tokio::test]
async fn what_dead_processes_left_is_swept_and_what_live_ones_write_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let blobs = open(root).await;
    let (mut source, sink) = tokio::io::duplex(16);
    let content = vec![7; 1_000_000];
    let mut writing = blobs.put(Box::new(sink), None);
    tokio::select! {
        put = &mut writing => panic!("{put:?}"),
        written = source.write_all(&content) => written.unwrap(),
    }
    let [live] = &incoming(root)[..] else { panic!("{:?}", incoming(root)) };
    let planted = live.with_file_name("0123456789abcdef0123456789abcdef");
    fs::write(&planted, "half of some").unwrap();

    let _other = open(root).await;
    assert_eq!(incoming(root), std::slice::from_ref(live));
    drop(source);
    let put = writing.await.unwrap();
    assert_eq!(put.bytes, 1_000_000);
    assert_eq!(read(&blobs, put.digest).await.unwrap(), content);
    assert!(incoming(root).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_that_begins_during_a_sweep_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Arc::new(open(directory.path()).await);
    let writers: Vec<_> = (0..4_u8)
        .map(|writer| {
            let blobs = blobs.clone();
            tokio::spawn(async move {
                for round in 0..60_u8 {
                    put(&blobs, [writer, round]).await;
                }
            })
        })
        .collect();
    let mut sweeps = 0;
    while !writers.iter().all(|writer| writer.is_finished()) {
        open(directory.path()).await;
        sweeps += 1;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(sweeps > 1);
    assert_eq!(blobs.list(None, 1_000).await.unwrap().len(), 4 * 60);
}

#[tokio::test]
async fn a_put_that_is_given_up_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path()).await;
    let (mut source, sink) = tokio::io::duplex(16);
    let content = vec![7; 1_000_000];
    let mut writing = blobs.put(Box::new(sink), None);
    tokio::select! {
        put = &mut writing => panic!("{put:?}"),
        written = source.write_all(&content) => written.unwrap(),
    }
    assert_eq!(incoming(directory.path()).len(), 1);
    drop(writing);
    until(|| incoming(directory.path()).is_empty()).await;
}

#[tokio::test]
async fn a_refused_put_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = open(directory.path()).await;
    let wrong = Digest::from_bytes([0; 32]);
    assert!(matches!(blobs.put(reader(vec![1; 600_000]), Some(wrong)).await, Err(BlobError::Corrupt { .. })));
    assert!(incoming(directory.path()).is_empty());

    let (mut source, sink) = tokio::io::duplex(16);
    let broken = sink.chain(failing());
    let feed = async {
        source.write_all(&vec![7; 600_000]).await.unwrap();
        drop(source);
    };
    let (put, ()) = tokio::join!(blobs.put(Box::new(broken), None), feed);
    assert!(matches!(put, Err(BlobError::Unavailable { .. })), "{put:?}");
    assert!(incoming(directory.path()).is_empty());
}

/// Content that cannot be read.
fn failing() -> impl tokio::io::AsyncRead + Send + Unpin {
    struct Failing;
    impl tokio::io::AsyncRead for Failing {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }
    Failing
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = DirBlobs::open(file.join("blobs"), Arc::new(SystemClock)).await.unwrap_err();
    let BlobError::Unavailable { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains(file.to_str().unwrap()), "{source}");
    let cause = std::error::Error::source(&*source).unwrap();
    assert!(cause.to_string().contains("Not a directory"), "{cause}");
}
