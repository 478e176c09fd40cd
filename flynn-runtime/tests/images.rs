//! Images of blobs in a directory: resolved, unpacked, verified, collected; snapshots over them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation ends the test")]

use std::collections::BTreeSet;
use std::fs;
use std::future::poll_fn;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::conformance::ManualClock;
use flynn_core::local::DirBlobs;
use flynn_core::port::{
    Blob, BlobError, BlobReader, Blobs, Image, ImageError, Images, MountSource, Prepared, SnapshotKey, Snapshots,
};
use flynn_core::value::Digest;
use flynn_core::{Clock, Timestamp};
use flynn_runtime::image::{Collected, ImageOptions, ImageStore, ImageUser, LayerLimits, LayerTimes, Live};
use flynn_runtime::snapshot::{OverlaySnapshots, SnapshotOptions};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LEASE: Duration = Duration::from_secs(600);

/// Blobs that count how often they were opened.
struct Counting {
    blobs: DirBlobs,
    opened: AtomicUsize,
}

#[async_trait]
impl Blobs for Counting {
    async fn put(&self, content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        self.blobs.put(content, expected).await
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.blobs.open(digest).await
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        self.blobs.stat(digest).await
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        self.blobs.remove(digest, put_before).await
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        self.blobs.list(after, limit).await
    }
}

struct Ground {
    directory: TempDir,
    blobs: Arc<Counting>,
    clock: Arc<ManualClock>,
}

impl Ground {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let blobs = DirBlobs::open(directory.path().join("blobs"), clock.clone()).await.unwrap();
        Self { directory, blobs: Arc::new(Counting { blobs, opened: AtomicUsize::new(0) }), clock }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("images")
    }

    async fn open(&self) -> ImageStore {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<ImageStore, ImageError> {
        let limits = LayerLimits { entries: 1_000, bytes: 8 << 20 };
        let options = ImageOptions { limits, lease: LEASE, ..ImageOptions::new(self.root()) };
        ImageStore::open(options, self.blobs.clone(), self.clock.clone()).await
    }

    async fn put(&self, content: Vec<u8>) -> Digest {
        self.blobs.put(Box::new(std::io::Cursor::new(content)), None).await.unwrap().digest
    }

    /// The archive that tar makes of some files.
    fn archive(&self, files: &[(&str, &str)]) -> Vec<u8> {
        let source = TempDir::new().unwrap();
        for (path, content) in files {
            let path = source.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let output =
            Command::new("tar").arg("-C").arg(source.path()).args(["--owner=0", "--group=0", "-c", "."]).output();
        output.unwrap().stdout
    }

    /// Puts an image of these layers, every second one compressed.
    async fn image(&self, layers: &[Vec<u8>]) -> (Digest, Vec<Digest>) {
        let (mut named, mut diff_ids, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for (index, archive) in layers.iter().enumerate() {
            let diff_id = self.put(archive.clone()).await;
            let digest = if index % 2 == 0 { diff_id } else { self.put(gzip(archive)).await };
            let kind = if index % 2 == 0 { "tar" } else { "tar+gzip" };
            named.push(serde_json::json!({ "mediaType": format!("application/vnd.oci.image.layer.v1.{kind}"), "digest": digest, "size": 1 }));
            diff_ids.push(diff_id);
            digests.push(digest);
        }
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": { "User": "web:staff", "Env": ["A=b"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = self.put(config.to_string().into_bytes()).await;
        (self.manifest(config, &named).await, digests)
    }

    async fn manifest(&self, config: Digest, layers: &[serde_json::Value]) -> Digest {
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 1 },
            "layers": layers,
        });
        self.put(manifest.to_string().into_bytes()).await
    }

    fn layer(&self, digest: Digest) -> PathBuf {
        self.root().join("layers/sha256").join(digest.hex())
    }

    fn layers(&self) -> usize {
        fs::read_dir(self.root().join("layers/sha256")).unwrap().count()
    }

    /// What is there for a time only, and must be gone when nothing goes on.
    fn leftovers(&self) -> Vec<PathBuf> {
        let parts = ["incoming", "gone", "snapshots"].map(|part| fs::read_dir(self.root().join(part)).unwrap());
        parts.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    fn advance(&self, span: Duration) {
        self.clock.set(self.clock.now() + span);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snapshots(images: &ImageStore, owner: &str) -> OverlaySnapshots {
    OverlaySnapshots::new(images, SnapshotOptions { owner: owner.to_owned(), times: LayerTimes::Kept })
}

fn upper(prepared: &Prepared) -> PathBuf {
    match &prepared.mounts[0].source {
        MountSource::Overlay { upper, .. } => upper.clone(),
        MountSource::Bind(upper) => upper.clone(),
        other => panic!("{other:?}"),
    }
}

fn key(prepared: &Prepared) -> BTreeSet<SnapshotKey> {
    [prepared.key.clone()].into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_unpacked_once_and_kept() {
    let ground = Ground::new().await;
    let users = "web:x:1000:1000::/app:/bin/sh\n";
    let low = ground.archive(&[("etc/passwd", users), ("etc/group", "staff:x:50:\n"), ("a", "low")]);
    let high = ground.archive(&[("b", "high")]);
    let (manifest, layers) = ground.image(&[low, high]).await;
    let images = ground.open().await;
    let (one, other) = tokio::join!(images.resolve(manifest), images.resolve(manifest));
    let image = one.unwrap();
    assert_eq!(other.unwrap(), image);
    assert_eq!((image.manifest, &image.layers), (manifest, &layers));
    assert_eq!(fs::read_to_string(ground.layer(layers[1]).join("fs/b")).unwrap(), "high");
    // Two layers, and the documents at most twice.
    assert!(ground.blobs.opened.swap(0, Ordering::Relaxed) <= 6);
    assert_eq!(images.resolve(manifest).await.unwrap(), image);

    let config = images.config(&image).await.unwrap();
    assert_eq!(config.env["A"], "b");
    assert_eq!(images.user(&image, config.user.as_deref()).await.unwrap(), ImageUser { uid: 1000, gid: 50 });
    assert!(matches!(images.user(&image, Some("ghost")).await, Err(ImageError::Invalid { .. })));

    assert!(ground.try_open().await.unwrap_err().to_string().contains("directory of images"));
    drop(images);
    let images = ground.open().await;
    assert_eq!(images.resolve(manifest).await.unwrap(), image);
    assert_eq!(ground.blobs.opened.load(Ordering::Relaxed), 0);
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_is_not_what_it_should_be_is_refused() {
    let ground = Ground::new().await;
    let archive = ground.archive(&[("a", "x")]);
    let (manifest, layers) = ground.image(&[archive.clone(), archive.clone()]).await;
    let images = ground.open().await;
    // The content of a blob changes on the disk, but not its length.
    let hex = layers[1].hex();
    let blob = ground.directory.path().join("blobs/sha256").join(&hex[..2]).join(&hex[2..]);
    let whole = fs::read(&blob).unwrap();
    for at in [40, whole.len() / 2, whole.len() - 3] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&blob, damaged).unwrap();
        images.resolve(manifest).await.unwrap_err();
        assert!(!ground.layer(layers[1]).exists());
    }
    fs::write(&blob, whole).unwrap();
    images.resolve(manifest).await.unwrap();

    // An archive that is not the one the configuration says it is.
    let other = ground.put(ground.archive(&[("a", "y")])).await;
    let config = serde_json::json!({ "rootfs": { "diff_ids": [layers[0]] } });
    let config = ground.put(config.to_string().into_bytes()).await;
    let kind = "application/vnd.oci.image.layer.v1.tar";
    let layer = serde_json::json!({ "mediaType": kind, "digest": other });
    let manifest = ground.manifest(config, std::slice::from_ref(&layer)).await;
    match images.resolve(manifest).await {
        Err(ImageError::Corrupt { expected, actual, .. }) => assert_eq!((expected, actual), (layers[0], other)),
        other => panic!("{other:?}"),
    }
    assert!(!ground.layer(other).exists());

    let two = ground.manifest(config, &[layer.clone(), layer]).await;
    assert!(matches!(images.resolve(two).await, Err(ImageError::Invalid { .. })));
    let missing = Digest::from_bytes([9; 32]);
    assert!(matches!(images.resolve(missing).await, Err(ImageError::NotFound { .. })));
    let foreign = ground.put(br#"{"architecture":"s390x","os":"linux","rootfs":{}}"#.to_vec()).await;
    let foreign = ground.manifest(foreign, &[]).await;
    assert!(images.resolve(foreign).await.unwrap_err().to_string().contains("s390x"));
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

/// A few bytes that swell to more than a layer may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_is_refused_and_leaves_nothing() {
    let ground = Ground::new().await;
    let mut bomb = ground.archive(&[("a", "x")]);
    bomb.truncate(1024);
    bomb.resize(64 << 20, 0);
    let digest = ground.put(gzip(&bomb)).await;
    let images = ground.open().await;
    let refused = snapshots(&images, "test").prepare(&[digest]).await.unwrap_err();
    assert!(refused.to_string().contains("too large"), "{refused}");
    let large = ground.put(ground.archive(&[("a", &"x".repeat(9 << 20))])).await;
    let refused = snapshots(&images, "test").prepare(&[large]).await.unwrap_err();
    assert!(refused.to_string().contains("too large"), "{refused}");
    let no_archive = ground.put(b"something else".to_vec()).await;
    assert!(matches!(snapshots(&images, "test").prepare(&[no_archive]).await, Err(ImageError::Invalid { .. })));
    assert_eq!((ground.layers(), ground.leftovers()), (0, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cache_takes_in_gives_out_and_forgets() {
    let ground = Ground::new().await;
    let (manifest, layers) = ground.image(&[ground.archive(&[("a", "x")])]).await;
    let images = ground.open().await;
    let image = images.resolve(manifest).await.unwrap();
    for digest in [manifest, image.config, layers[0]] {
        let mut content = Vec::new();
        images.open(digest).await.unwrap().read_to_end(&mut content).await.unwrap();
        images.put(digest, Box::new(std::io::Cursor::new(content))).await.unwrap();
    }
    let wrong = images.put(manifest, Box::new(&b"else"[..])).await;
    assert!(matches!(wrong, Err(ImageError::Corrupt { .. })));

    let own = snapshots(&images, "test");
    let prepared = own.prepare(&image.layers).await.unwrap();
    for digest in [manifest, image.config, layers[0]] {
        images.remove(digest).await.unwrap();
        images.remove(digest).await.unwrap();
    }
    assert!(ground.layer(layers[0]).exists(), "a snapshot uses it");
    own.discard(&prepared.key).await.unwrap();
    assert!(!ground.layer(layers[0]).exists());
    assert_eq!(images.resolve(manifest).await.unwrap(), image);
    images.remove(layers[0]).await.unwrap();
    assert_eq!((ground.layers(), ground.leftovers()), (0, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_needs_is_collected() {
    let ground = Ground::new().await;
    let contents = ["live", "leased", "snapshot", "chain", "stale"];
    let mut made = Vec::new();
    for content in contents {
        made.push(ground.image(&[ground.archive(&[("a", content)])]).await);
    }
    let images = ground.open().await;
    let own = snapshots(&images, "test");
    for (index, (manifest, _)) in made.iter().enumerate() {
        if index != 1 {
            images.resolve(*manifest).await.unwrap();
        }
    }
    let prepared = own.prepare(&made[2].1).await.unwrap();
    let live = Live { manifests: [made[0].0].into(), chains: vec![made[3].1.clone()] };
    assert_eq!(images.collect(&live).await.unwrap(), Collected::default(), "all was used just now");
    ground.advance(LEASE + Duration::from_secs(1));
    images.resolve(made[1].0).await.unwrap();
    // Three images lose their documents, one its layer.
    let expected = Collected { documents: 6, layers: 1, bytes: 5 };
    assert_eq!(images.collect(&live).await.unwrap(), expected);
    assert_eq!(images.collect(&live).await.unwrap(), Collected::default());
    let kept = |index: usize| ground.layer(made[index].1[0]).exists();
    assert_eq!([0, 1, 2, 3, 4].map(kept), [true, true, true, true, false]);
    own.discard(&prepared.key).await.unwrap();
    ground.advance(LEASE + Duration::from_secs(1));
    images.collect(&live).await.unwrap();
    assert_eq!([0, 1, 2, 3, 4].map(kept), [true, false, false, true, false]);
    assert_eq!(images.resolve(made[4].0).await.unwrap().layers, made[4].1);
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

/// Whatever a process that was killed half-way left is gone, and what was complete is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_short_is_swept() {
    let ground = Ground::new().await;
    let (manifest, layers) = ground.image(&[ground.archive(&[("a", "x")])]).await;
    let images = ground.open().await;
    images.resolve(manifest).await.unwrap();
    let own = snapshots(&images, "test");
    let (whole, cut) = (own.prepare(&layers).await.unwrap(), own.prepare(&layers).await.unwrap());
    drop((own, images));
    let root = ground.root();
    fs::create_dir_all(root.join("incoming/7/fs/half")).unwrap();
    fs::write(root.join("incoming/8"), "half").unwrap();
    fs::create_dir_all(root.join("gone/1/fs")).unwrap();
    // A layer without its record, a snapshot whose layer was adopted, and one without a record.
    let torn = Digest::from_bytes([3; 32]);
    fs::create_dir_all(ground.layer(torn).join("fs")).unwrap();
    fs::remove_dir_all(root.join("snapshots").join(&cut.key.0).join("layer")).unwrap();
    fs::create_dir_all(root.join("snapshots/00000000000000000000000000000000")).unwrap();

    let images = ground.open().await;
    let own = snapshots(&images, "test");
    let kept: Vec<_> = own.list().await.unwrap().into_iter().map(|snapshot| snapshot.key).collect();
    assert_eq!(kept, std::slice::from_ref(&whole.key));
    assert_eq!(ground.layers(), 1);
    own.discard(&whole.key).await.unwrap();
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

/// Of what was on its way to the disk when the machine went down, nobody knows which parts arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_loss_of_power_layers_are_unpacked_again_unless_they_were_settled() {
    let ground = Ground::new().await;
    let (settled, later) = (ground.archive(&[("a", "x")]), ground.archive(&[("b", "y")]));
    let (first, first_layers) = ground.image(&[settled]).await;
    let (second, second_layers) = ground.image(&[later]).await;
    let images = ground.open().await;
    images.resolve(first).await.unwrap();
    assert_eq!((images.settle().await.unwrap(), images.settle().await.unwrap()), (1, 0));
    images.resolve(second).await.unwrap();
    drop(images);
    drop(ground.open().await);
    assert_eq!(ground.layers(), 2, "the process ended, the machine did not");

    fs::write(ground.root().join("boot"), "another").unwrap();
    fs::write(ground.layer(second_layers[0]).join("fs/b"), "").unwrap();
    let images = ground.open().await;
    assert!(ground.layer(first_layers[0]).exists() && !ground.layer(second_layers[0]).exists());
    images.resolve(second).await.unwrap();
    assert_eq!(fs::read_to_string(ground.layer(second_layers[0]).join("fs/b")).unwrap(), "y");
    assert_eq!(images.settle().await.unwrap(), 1);
    drop(images);
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_gives_a_layer_that_others_can_unpack() {
    let ground = Ground::new().await;
    let images = ground.open().await;
    let own = snapshots(&images, "test");
    let mut digests = BTreeSet::new();
    let mut inode = 0;
    for order in [["a", "b", "c"], ["c", "a", "b"]] {
        let prepared = own.prepare(&[]).await.unwrap();
        let upper = upper(&prepared);
        for name in order {
            let path = upper.join(name);
            fs::write(&path, name.repeat(300_000)).unwrap();
            fs::File::open(path).unwrap().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(9)).unwrap();
        }
        inode = fs::metadata(upper.join("a")).unwrap().ino();
        digests.insert(own.commit(&prepared.key).await.unwrap());
        assert!(matches!(own.commit(&prepared.key).await, Err(ImageError::NotFound { .. })));
        own.discard(&prepared.key).await.unwrap();
        if digests.len() == 1 && order[0] == "a" {
            let layer = *digests.first().unwrap();
            let kept = fs::metadata(ground.layer(layer).join("fs/a")).unwrap();
            assert_eq!(kept.ino(), inode, "what was written is the layer, not a copy");
        }
    }
    assert_eq!(digests.len(), 1);
    let digest = *digests.first().unwrap();
    assert_ne!(fs::metadata(ground.layer(digest).join("fs/a")).unwrap().ino(), inode);
    assert_eq!(ground.blobs.stat(digest).await.unwrap().unwrap().bytes % 512, 0);

    // Elsewhere it comes from the blobs.
    images.remove(digest).await.unwrap();
    assert_eq!(ground.layers(), 0);
    let prepared = own.prepare(&[digest, digest]).await.unwrap();
    assert_eq!(own.list().await.unwrap()[0].chain, [digest]);
    assert_eq!(fs::read(ground.layer(digest).join("fs/b")).unwrap().len(), 300_000);
    let missing = Digest::from_bytes([9; 32]);
    match own.prepare(&[digest, missing]).await {
        Err(ImageError::NotFound { what, .. }) => assert_eq!(what, missing.to_string()),
        other => panic!("{other:?}"),
    }
    own.discard(&prepared.key).await.unwrap();
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_have_owners_and_leaks_are_swept() {
    let ground = Ground::new().await;
    let images = ground.open().await;
    let (agent, build) = (snapshots(&images, "agent"), snapshots(&images, "build"));
    let leaked = agent.prepare(&[]).await.unwrap();
    let used = agent.prepare(&[]).await.unwrap();
    let foreign = build.prepare(&[]).await.unwrap();
    ground.advance(Duration::from_secs(1));
    let late = agent.prepare(&[]).await.unwrap();
    agent.discard(&foreign.key).await.unwrap();
    assert!(matches!(agent.commit(&foreign.key).await, Err(ImageError::NotFound { .. })));
    assert_eq!(agent.sweep(&key(&used), ground.clock.now()).await.unwrap(), std::slice::from_ref(&leaked.key));
    let left =
        |all: Vec<flynn_runtime::snapshot::Snapshot>| all.into_iter().map(|one| one.key).collect::<BTreeSet<_>>();
    assert_eq!(left(agent.list().await.unwrap()), [used.key, late.key].into());
    assert_eq!(left(build.list().await.unwrap()), key(&foreign));
    for odd in ["", "..", "../documents", "no such"] {
        agent.discard(&SnapshotKey(odd.to_owned())).await.unwrap();
    }
    ground.advance(Duration::from_secs(1));
    for owner in [&agent, &build] {
        owner.sweep(&BTreeSet::new(), ground.clock.now()).await.unwrap();
    }
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

/// A commit that the blobs do not take leaves the snapshot as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_commit_can_be_repeated() {
    let ground = Ground::new().await;
    let images = ground.open().await;
    let own = snapshots(&images, "test");
    let prepared = own.prepare(&[]).await.unwrap();
    let odd = upper(&prepared).join(".wh.odd");
    fs::write(&odd, "x").unwrap();
    assert!(matches!(own.commit(&prepared.key).await, Err(ImageError::Invalid { .. })));
    assert_eq!(ground.blobs.list(None, 9).await.unwrap(), []);
    fs::rename(&odd, odd.with_file_name("even")).unwrap();
    let digest = own.commit(&prepared.key).await.unwrap();
    assert_eq!(fs::read_to_string(ground.layer(digest).join("fs/even")).unwrap(), "x");
    let unchanged = Image { manifest: digest, config: digest, layers: vec![digest] };
    assert_eq!(images.user(&unchanged, None).await.unwrap(), ImageUser::default());
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

/// A commit that nobody waits for any more, whichever moment that is, is out of the way of the next one: that
/// one makes the layer, or finds that it was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_given_up_is_out_of_the_way_of_the_next() {
    let ground = Ground::new().await;
    let images = ground.open().await;
    let own = snapshots(&images, "test");
    let mut made = BTreeSet::new();
    for polls in 1.. {
        let prepared = own.prepare(&[]).await.unwrap();
        fs::write(upper(&prepared).join("moment"), polls.to_string()).unwrap();
        let ended = polled(polls, own.commit(&prepared.key)).await;
        let again = own.commit(&prepared.key).await;
        let done = matches!(again, Err(ImageError::NotFound { .. }));
        assert!(done || again.is_ok(), "after {polls} polls: {again:?}");
        let layers = ground.blobs.list(None, 999).await.unwrap().into_iter().map(|blob| blob.digest);
        let added: Vec<Digest> = layers.filter(|layer| made.insert(*layer)).collect();
        let [digest] = added[..] else { panic!("after {polls} polls, {again:?}: {added:?}") };
        assert_eq!(fs::read_to_string(ground.layer(digest).join("fs/moment")).unwrap(), polls.to_string());
        if let Some(committed) = ended {
            assert_eq!((committed.unwrap(), done), (digest, true));
            break;
        }
    }
    assert_eq!(ground.leftovers(), Vec::<PathBuf>::new());
}

/// What comes of `future` in its first `polls` polls; it is dropped after them.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}
