//! What the collector of blobs takes away, and what it leaves.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flynn_build::collect::{CollectError, CollectSettings, Collected, Collector};
use flynn_core::conformance::{ManualClock, StoreHarness, World};
use flynn_core::noun::{
    Build, BuildId, BuildIntent, BuildOutput, BuildState, BuildStatus, Release, ReleaseCause, ReleaseId,
};
use flynn_core::port::{Blob, BlobError, BlobReader, Blobs, Store};
use flynn_core::value::{Digest, Resources};
use flynn_core::{Batch, Change, Clock, MemoryBlobs, MemoryStore, Principal, Retention, Timestamp};

const KEEP: Duration = Duration::from_secs(100);

struct InMemory;

#[async_trait::async_trait]
impl StoreHarness for InMemory {
    type Store = MemoryStore;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(clock, retention))
    }
}

struct Place {
    world: World<MemoryStore>,
    blobs: Arc<MemoryBlobs>,
    clock: Arc<ManualClock>,
    collector: Collector,
}

impl Place {
    async fn new() -> Self {
        let world = World::new(&InMemory).await;
        let clock = world.clock.clone();
        let blobs = Arc::new(MemoryBlobs::new(clock.clone()));
        let settings = CollectSettings { keep: KEEP, ..CollectSettings::default() };
        let collector = Collector::new(world.store.clone(), blobs.clone(), clock.clone(), settings);
        Self { world, blobs, clock, collector }
    }

    async fn put(&self, content: &str) -> Digest {
        self.blobs.put(Box::new(std::io::Cursor::new(content.to_owned())), None).await.unwrap().digest
    }

    /// The manifest of an image with one layer, and all three digests.
    async fn image(&self, layer: &str) -> (Digest, [Digest; 3]) {
        let (layer, config) = (self.put(layer).await, self.put(&format!("config of {layer}")).await);
        let manifest = format!(
            r#"{{"schemaVersion": 2, "config": {{"digest": "{config}"}}, "layers": [{{"digest": "{layer}"}}]}}"#
        );
        let manifest = self.put(&manifest).await;
        (manifest, [manifest, config, layer])
    }

    async fn release(&self, number: u64, image: Digest) -> ReleaseId {
        let id = self.world.id();
        let first = self.world.get(self.world.release).await.unwrap();
        let release = Release { number, image, cause: ReleaseCause::Rollback(1), ..first.spec.clone() };
        self.world.commit([Change::create(id, self.world.team, release)]).await;
        id
    }

    async fn build(&self, source: Digest) -> BuildId {
        let (id, change) = self.new_build(source);
        self.world.commit([change]).await;
        id
    }

    fn new_build(&self, source: Digest) -> (BuildId, Change) {
        let id = self.world.id();
        let build = Build {
            app: self.world.app,
            number: 1,
            source,
            commit: None,
            branch: None,
            resources: Resources::ZERO,
            node: None,
            desired: BuildIntent::Finish,
        };
        (id, Change::create(id, self.world.team, build))
    }

    async fn pass(&mut self) -> Collected {
        self.collector.pass().await.unwrap()
    }

    async fn has(&self, digest: Digest) -> bool {
        self.blobs.stat(digest).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn an_image_stays_as_long_as_a_release_names_it() {
    let mut place = Place::new().await;
    let (manifest, whole) = place.image("files").await;
    let release = place.release(2, manifest).await;
    let stray = place.put("nobody's").await;
    place.clock.advance(KEEP * 2);
    assert_eq!(place.pass().await, Collected { removed: 1, bytes: 8, cut_short: false });
    assert!(!place.has(stray).await);
    for digest in whole {
        assert!(place.has(digest).await);
    }
    place.world.commit([Change::remove(release)]).await;
    assert_eq!(place.pass().await.removed, 3);
}

#[tokio::test]
async fn what_was_put_of_late_stays() {
    let mut place = Place::new().await;
    let (old, again) = (place.put("old").await, place.put("again").await);
    place.clock.advance(KEEP);
    assert_eq!(place.pass().await, Collected::default(), "exactly as old as what is kept");
    assert_eq!(place.put("again").await, again);
    place.clock.advance(Duration::from_millis(1));
    assert_eq!(place.pass().await.removed, 1);
    assert_eq!((place.has(old).await, place.has(again).await), (false, true));
}

#[tokio::test]
async fn nothing_goes_while_a_build_is_under_way_and_its_image_stays_after_it() {
    let mut place = Place::new().await;
    let source = place.put("source").await;
    let (image, whole) = place.image("files").await;
    let build = place.build(source).await;
    place.clock.advance(KEEP * 2);
    assert_eq!(place.pass().await, Collected { cut_short: true, ..Collected::default() });

    let node = place.world.node;
    let placed = Build { node: Some(node), ..place.world.get(build).await.unwrap().spec.clone() };
    let report = |state| Change::report(build, BuildStatus { state, ..BuildStatus::default() });
    place.world.commit([Change::update(build, placed), report(BuildState::Assigned)]).await;
    let output = BuildOutput { image, processes: Default::default() };
    place.world.commit([report(BuildState::Succeeded(output))]).await;
    assert_eq!(place.pass().await.removed, 1);
    assert!(!place.has(source).await);
    for digest in whole {
        assert!(place.has(digest).await);
    }
}

/// A blob store in which something is committed at the first removal.
struct Interrupted {
    blobs: Arc<MemoryBlobs>,
    store: Arc<MemoryStore>,
    batch: Mutex<Option<Batch>>,
}

#[async_trait::async_trait]
impl Blobs for Interrupted {
    async fn put(&self, content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        self.blobs.put(content, expected).await
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        self.blobs.open(digest).await
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        self.blobs.stat(digest).await
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        self.blobs.remove(digest, put_before).await?;
        let batch = self.batch.lock().unwrap().take();
        if let Some(batch) = batch {
            self.store.commit(batch).await.unwrap();
        }
        Ok(())
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        self.blobs.list(after, limit).await
    }
}

#[tokio::test]
async fn a_build_that_begins_during_a_pass_keeps_what_is_left() {
    let place = Place::new().await;
    for content in ["one", "two", "three"] {
        place.put(content).await;
    }
    let (_, change) = place.new_build(Digest::from_bytes([1; 32]));
    place.clock.advance(KEEP * 2);
    let blobs = Arc::new(Interrupted {
        blobs: place.blobs.clone(),
        store: place.world.store.clone(),
        batch: Mutex::new(Some(Batch::new(Principal::System).with(change))),
    });
    let settings = CollectSettings { keep: KEEP, ..CollectSettings::default() };
    let mut collector = Collector::new(place.world.store.clone(), blobs, place.clock.clone(), settings);
    let collected = collector.pass().await.unwrap();
    assert_eq!((collected.removed, collected.cut_short), (1, true));
    assert_eq!(place.blobs.list(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_goes_while_an_image_cannot_be_read() {
    let mut place = Place::new().await;
    let manifest = place.put("no manifest").await;
    place.release(2, manifest).await;
    let stray = place.put("stray").await;
    place.clock.advance(KEEP * 2);
    let error = place.collector.pass().await.unwrap_err();
    assert!(matches!(error, CollectError::Manifest { manifest: named, .. } if named == manifest), "{error:?}");
    assert!(place.has(stray).await);
}
