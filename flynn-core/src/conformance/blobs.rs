//! What every [`Blobs`] must do.
//!
//! [`blobs_conformance!`](crate::blobs_conformance) makes a test of each case.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ManualClock;
use super::content::{Dribble, bytes, digest, read, reader};
use crate::port::{Blob, BlobError, Blobs};
use crate::time::{Clock, Timestamp};
use crate::value::Digest;

/// Makes the blob stores that the suite is run against.
#[async_trait]
pub trait BlobsHarness: Send + Sync {
    /// The implementation under test.
    type Blobs: Blobs + 'static;

    /// An empty store that goes by `clock`.
    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<Self::Blobs>;
}

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const MILLISECOND: Duration = Duration::from_millis(1);

/// A length around which implementations may well work in pieces.
const PIECE: usize = 256 << 10;

struct Fixture<B> {
    blobs: Arc<B>,
    clock: Arc<ManualClock>,
}

impl<B: Blobs> Fixture<B> {
    async fn new<H: BlobsHarness<Blobs = B>>(harness: &H) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        Self { blobs: harness.open(clock.clone()).await, clock }
    }

    async fn put(&self, content: &[u8]) -> Blob {
        self.blobs.put(reader(content), None).await.unwrap()
    }

    async fn all(&self) -> Vec<Blob> {
        self.blobs.list(None, usize::MAX).await.unwrap()
    }
}

/// Content of any length comes out as it went in, in whatever pieces it came.
pub async fn what_was_put_is_read_back<H: BlobsHarness>(harness: &H) {
    let Fixture { blobs, .. } = Fixture::new(harness).await;
    for length in [0, 1, 4_095, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 5 * PIECE + 17] {
        let content = bytes(length as u64, length);
        let expected = Blob { digest: digest(&content), bytes: length as u64, put_at: START };
        let put = blobs.put(Box::new(Dribble::new(content.clone())), None).await.unwrap();
        assert_eq!(put, expected, "{length} bytes");
        assert_eq!(blobs.stat(put.digest).await.unwrap(), Some(expected));
        assert!(read(blobs.open(put.digest).await.unwrap()).await.unwrap() == content, "{length} bytes");
    }
}

/// The digest is SHA-256 (the examples of FIPS 180-2, and the empty message).
pub async fn digests_are_those_of_the_standard<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    for (content, hex) in [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        assert_eq!(fixture.put(content.as_bytes()).await.digest.hex(), hex);
    }
}

/// Content that is not what it should be is refused, and nothing of it is left.
pub async fn an_expected_digest_is_checked<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let (wanted, sent) = (digest(b"wanted"), digest(b"sent"));
    match fixture.blobs.put(reader("sent"), Some(wanted)).await {
        Err(BlobError::Corrupt { expected, actual, .. }) => assert_eq!((expected, actual), (wanted, sent)),
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.all().await, []);
    assert_eq!(fixture.blobs.put(reader("wanted"), Some(wanted)).await.unwrap().digest, wanted);
}

/// When the source of content fails, nothing of it is left, and the failure is told.
pub async fn a_failed_source_leaves_nothing<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    for length in [0, 10, 2 * PIECE] {
        let content = bytes(1, length);
        let source = Dribble::failing(content.clone(), io::ErrorKind::ConnectionReset);
        match fixture.blobs.put(Box::new(source), None).await {
            Err(BlobError::Unavailable { source, .. }) => {
                let source = source.downcast_ref::<io::Error>().expect("the source of the error is kept");
                assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(fixture.blobs.stat(digest(&content)).await.unwrap(), None);
        assert_eq!(fixture.all().await, []);
    }
}

/// Content is there when its last byte is, and not before.
pub async fn incomplete_content_is_invisible<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let content = bytes(2, 3 * PIECE);
    let (mut source, sink) = tokio::io::duplex(1_024);
    let (last, most) = content.split_last().unwrap();
    let mut put = fixture.blobs.put(Box::new(sink), Some(digest(&content)));
    tokio::select! {
        put = &mut put => panic!("{put:?}"),
        written = source.write_all(most) => written.unwrap(),
    }
    assert_eq!(fixture.all().await, []);
    assert_eq!(fixture.blobs.stat(digest(&content)).await.unwrap(), None);
    assert!(matches!(fixture.blobs.open(digest(&content)).await, Err(BlobError::NotFound { .. })));
    let finish = async {
        source.write_all(&[*last]).await.unwrap();
        drop(source);
    };
    let (put, ()) = tokio::join!(put, finish);
    assert_eq!(fixture.all().await, [put.unwrap()]);
}

/// A put that is dropped puts nothing.
pub async fn a_dropped_put_leaves_nothing<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let content = bytes(3, 2 * PIECE);
    let (mut source, sink) = tokio::io::duplex(1_024);
    let mut put = fixture.blobs.put(Box::new(sink), None);
    tokio::select! {
        put = &mut put => panic!("{put:?}"),
        written = source.write_all(&content) => written.unwrap(),
    }
    drop(put);
    assert_eq!(fixture.all().await, []);
    fixture.put(&content).await;
}

/// What is put again is there once, and counts as put at the later time.
pub async fn putting_again_renews<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let first = fixture.put(b"same").await;
    fixture.clock.advance(HOUR + MILLISECOND);
    let second = fixture.put(b"same").await;
    assert_eq!(second, Blob { put_at: START + HOUR + MILLISECOND, ..first });
    assert_eq!(fixture.all().await, [second]);
    assert_eq!(read(fixture.blobs.open(first.digest).await.unwrap()).await.unwrap(), b"same");
}

/// A removal goes by when content was put last, to the millisecond.
pub async fn only_what_is_old_is_removed<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let Blob { digest, .. } = fixture.put(b"old").await;
    let there = async || fixture.blobs.stat(digest).await.unwrap().is_some();
    fixture.blobs.remove(digest, START).await.unwrap();
    assert!(there().await, "it was not put before the time it was put");
    fixture.clock.advance(HOUR);
    fixture.put(b"old").await;
    fixture.blobs.remove(digest, START + HOUR).await.unwrap();
    assert!(there().await, "it was put again");
    fixture.blobs.remove(digest, START + HOUR + MILLISECOND).await.unwrap();
    assert!(!there().await);
    assert!(matches!(fixture.blobs.open(digest).await, Err(BlobError::NotFound { .. })));
    assert_eq!(fixture.all().await, []);
}

/// Whatever a collector of old content does at the same moment, an acknowledged put stands.
pub async fn a_collector_never_takes_what_is_put_again<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    for round in 0..60_u64 {
        let content = bytes(round, 1 + round as usize * 1_000);
        let old = fixture.put(&content).await;
        fixture.clock.advance(HOUR);
        let limit = fixture.clock.now();
        let collect = || {
            let blobs = fixture.blobs.clone();
            tokio::spawn(async move { blobs.remove(old.digest, limit).await })
        };
        let (blobs, early) = (fixture.blobs.clone(), collect());
        let put = tokio::spawn(async move { blobs.put(reader(content), None).await });
        let late = collect();
        let (put, early, late) = (put.await.unwrap().unwrap(), early.await.unwrap(), late.await.unwrap());
        early.unwrap();
        late.unwrap();
        assert_eq!(fixture.blobs.stat(old.digest).await.unwrap(), Some(put), "round {round}");
    }
}

/// What is not there is not found, and is no error to whoever wants it gone.
pub async fn what_is_absent_is_said_to_be<H: BlobsHarness>(harness: &H) {
    let Fixture { blobs, .. } = Fixture::new(harness).await;
    let absent = digest(b"absent");
    assert!(matches!(blobs.open(absent).await, Err(BlobError::NotFound { digest, .. }) if digest == absent));
    assert_eq!(blobs.stat(absent).await.unwrap(), None);
    blobs.remove(absent, START + HOUR).await.unwrap();
}

/// A reader that has begun reads to the end, even when the content is removed meanwhile.
pub async fn a_reader_outlives_a_removal<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let content = bytes(4, 4 * PIECE);
    let Blob { digest, .. } = fixture.put(&content).await;
    let mut reader = fixture.blobs.open(digest).await.unwrap();
    let mut start = [0; 100];
    reader.read_exact(&mut start).await.unwrap();
    fixture.blobs.remove(digest, START + HOUR).await.unwrap();
    assert_eq!(fixture.blobs.stat(digest).await.unwrap(), None);
    assert!(read(reader).await.unwrap() == content[100..]);
}

/// Pages cover everything once, in the order of digests, wherever they begin.
pub async fn a_list_is_paged_in_order<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let mut digests = BTreeSet::new();
    for seed in 0..300 {
        digests.insert(fixture.put(&bytes(seed, 40)).await.digest);
    }
    let digests: Vec<Digest> = digests.into_iter().collect();
    let page = async |after, limit| {
        let blobs = fixture.blobs.list(after, limit).await.unwrap();
        blobs.into_iter().map(|blob| blob.digest).collect::<Vec<_>>()
    };
    for limit in [1, 7, 300, 1_000] {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let next = page(after, limit).await;
            assert!(next.len() <= limit);
            let Some(last) = next.last() else { break };
            after = Some(*last);
            paged.extend(next);
        }
        assert_eq!(paged, digests, "pages of {limit}");
    }
    assert_eq!(page(None, 0).await, []);
    let gone = digests[100];
    fixture.blobs.remove(gone, START + HOUR).await.unwrap();
    assert_eq!(page(Some(gone), 2).await, digests[101..103]);
    assert_eq!(page(Some(digests[99]), 2).await, digests[101..103]);
    assert_eq!(page(Some(Digest::from_bytes([0xff; 32])), 2).await, []);
    assert_eq!(page(Some(Digest::from_bytes([0; 32])), 2).await, digests[..2]);
}

/// Puts of the same content do not disturb each other, nor those who read it.
pub async fn equal_puts_at_once_are_one<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let content = bytes(5, 2 * PIECE + 1);
    let work = (0..16).map(|_| {
        let (blobs, content) = (fixture.blobs.clone(), content.clone());
        tokio::spawn(async move {
            let blob = blobs.put(Box::new(Dribble::new(content.clone())), None).await.unwrap();
            assert!(read(blobs.open(blob.digest).await.unwrap()).await.unwrap() == content);
            blob
        })
    });
    let put: Vec<Blob> = join_all(work).await.into_iter().map(Result::unwrap).collect();
    let expected = Blob { digest: digest(&content), bytes: content.len() as u64, put_at: START };
    assert!(put.iter().all(|blob| *blob == expected), "{put:?}");
    assert_eq!(fixture.all().await, [expected]);
}

/// Puts of different content at the same time do not mix.
pub async fn different_puts_at_once_do_not_mix<H: BlobsHarness>(harness: &H) {
    let fixture = Fixture::new(harness).await;
    let work = (0..24_u64).map(|seed| {
        let content = bytes(seed, (seed as usize * 30_011) % (2 * PIECE));
        fixture.blobs.put(Box::new(Dribble::new(content.clone())), Some(digest(&content))).map(|put| put.unwrap())
    });
    let mut put = join_all(work).await;
    put.sort_by_key(|blob| blob.digest);
    assert_eq!(fixture.all().await, put);
    for blob in put {
        let content = read(fixture.blobs.open(blob.digest).await.unwrap()).await.unwrap();
        assert_eq!((digest(&content), content.len() as u64), (blob.digest, blob.bytes));
    }
}

/// Makes one test of each case of the suite for blobs. The argument is an expression that makes a
/// [`BlobsHarness`]; the crate that uses it needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! blobs_conformance {
    ($harness:expr) => {
        $crate::blobs_conformance!($harness; [
            what_was_put_is_read_back, digests_are_those_of_the_standard, an_expected_digest_is_checked,
            a_failed_source_leaves_nothing, incomplete_content_is_invisible, a_dropped_put_leaves_nothing,
            putting_again_renews, only_what_is_old_is_removed, a_collector_never_takes_what_is_put_again,
            what_is_absent_is_said_to_be, a_reader_outlives_a_removal, a_list_is_paged_in_order,
            equal_puts_at_once_are_one, different_puts_at_once_do_not_mix
        ]);
    };
    ($harness:expr; [$($case:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::blobs::$case(&$harness).await;
            }
        )*
    };
}
