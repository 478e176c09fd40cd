//! A store, a node and a builder.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flynn_build::base::{BaseError, BaseImage, BaseImages, BaseKind};
use flynn_build::builder::{Builder, ImageBuilder, ImageBuilderParts};
use flynn_build::buildpack::all;
use flynn_build::image::LayerFiles;
use flynn_build::keys::Keys;
use flynn_build::sandbox::{SandboxPorts, Sandboxes};
use flynn_build::settings::Settings;
use flynn_build::worker::{Worker, WorkerParts};
use flynn_core::conformance::{ManualClock, StoreHarness, World as Cluster};
use flynn_core::noun::{Build, BuildIntent, BuildOutput, BuildState, BuildStatus};
use flynn_core::port::{Blobs, LogLine, LogSink};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, BuildId, Change, Clock, MemoryBlobs, MemoryStore, Retention, Scope, Timestamp, View};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::node::FakeNode;

pub(crate) struct Memory;

#[async_trait]
impl StoreHarness for Memory {
    type Store = MemoryStore;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(clock, retention))
    }
}

/// Base images of a few bytes.
pub(crate) struct Bases(pub(crate) Arc<MemoryBlobs>);

#[async_trait]
impl BaseImages for Bases {
    async fn ensure(&self, kind: BaseKind) -> Result<BaseImage, BaseError> {
        let content = Cursor::new(kind.as_str().as_bytes().to_vec());
        let digest = self.0.put(Box::new(content), None).await.unwrap().digest;
        Ok(BaseImage {
            layers: vec![digest],
            env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            key: digest,
            versions: BTreeMap::from([("python".to_owned(), "3.11.2".to_owned())]),
        })
    }
}

#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<LogLine>>);

impl LogSink for Lines {
    fn emit(&self, line: LogLine) {
        self.0.lock().unwrap().push(line);
    }

    fn dropped(&self) -> u64 {
        0
    }
}

pub(crate) struct World {
    pub(crate) cluster: Cluster<MemoryStore>,
    pub(crate) view: View,
    pub(crate) node: FakeNode,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) builder: Arc<dyn Builder>,
    folder: tempfile::TempDir,
    numbers: Mutex<u64>,
    _follower: tokio::task::JoinHandle<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let cluster = Cluster::new(&Memory).await;
        let (view, follower) = View::open(cluster.store.clone(), Scope::All).await.unwrap();
        let follower = tokio::spawn(async { drop(follower.run().await) });
        let blobs = Arc::new(MemoryBlobs::new(cluster.clock.clone()));
        let node = FakeNode::new(blobs.clone());
        let folder = tempfile::tempdir().unwrap();
        let builder = builder(&cluster.clock, &blobs, &node, folder.path());
        let (lines, numbers) = (Arc::default(), Mutex::new(0));
        Self { cluster, view, node, blobs, lines, builder, folder, numbers, _follower: follower }
    }

    pub(crate) fn worker(&self) -> Worker<MemoryStore> {
        Worker::new(WorkerParts {
            store: self.cluster.store.clone(),
            node: self.cluster.node,
            builder: self.builder.clone(),
            log: self.lines.clone(),
            clock: self.cluster.clock.clone(),
            parallel: 2,
        })
    }

    /// Lets a worker work while `act` goes on.
    pub(crate) async fn working<T>(&self, act: impl Future<Output = T>) -> T {
        tokio::select! {
            ended = self.worker().run(std::future::pending()) => panic!("{ended:?}"),
            outcome = act => outcome,
        }
    }

    pub(crate) async fn source(&self, files: &[(&str, &str)]) -> Digest {
        let tar = files
            .iter()
            .fold(LayerFiles::default(), |tar, (path, text)| tar.file(path, 0o644, (0, 0), text.as_bytes()));
        self.blobs.put(Box::new(Cursor::new(tar.into_tar())), None).await.unwrap().digest
    }

    /// A build of `app` that is placed on the node.
    pub(crate) async fn place(&self, app: AppId, source: Digest) -> BuildId {
        let id = self.cluster.id();
        let number = {
            let mut numbers = self.numbers.lock().unwrap();
            *numbers += 1;
            *numbers
        };
        let resources = Resources { memory_bytes: 1 << 28, ..Resources::ZERO };
        let build = Build {
            app,
            number,
            source,
            commit: None,
            branch: None,
            resources,
            node: None,
            desired: BuildIntent::Finish,
        };
        let placed = Build { node: Some(self.cluster.node), ..build.clone() };
        let status = BuildStatus { state: BuildState::Assigned, since: Timestamp::EPOCH };
        let changes =
            [Change::create(id, self.cluster.team, build), Change::update(id, placed), Change::report(id, status)];
        self.cluster.commit(changes).await;
        id
    }

    pub(crate) async fn cancel(&self, build: BuildId) {
        let stored = self.cluster.get(build).await.unwrap();
        self.cluster
            .commit([Change::update(build, Build { desired: BuildIntent::Cancel, ..stored.spec.clone() })])
            .await;
    }

    /// Waits until the build has ended, and says how.
    pub(crate) async fn ended(&self, build: BuildId) -> BuildState {
        self.until(build, BuildState::is_end).await
    }

    pub(crate) async fn until(&self, build: BuildId, done: impl Fn(&BuildState) -> bool) -> BuildState {
        let mut changes = self.view.changes();
        let wait = async {
            loop {
                let seen = self.view.snapshot().objects.get(build).map(|build| build.status.state.clone());
                if let Some(state) = seen.filter(|state| done(state)) {
                    return state;
                }
                changes.changed().await.unwrap();
            }
        };
        // The clock of these tests is a virtual one.
        tokio::time::timeout(Duration::from_secs(3_600), wait).await.expect("the build does not get there")
    }

    pub(crate) async fn built(&self, app: AppId, files: &[(&str, &str)]) -> BuildOutput {
        let build = self.place(app, self.source(files).await).await;
        match self.working(self.ended(build)).await {
            BuildState::Succeeded(output) => output,
            other => panic!("{other:?}: {:?}", self.log(build)),
        }
    }

    pub(crate) async fn blob(&self, digest: Digest) -> Vec<u8> {
        let mut content = Vec::new();
        self.blobs.open(digest).await.unwrap().read_to_end(&mut content).await.unwrap();
        content
    }

    pub(crate) async fn document(&self, digest: Digest) -> Value {
        serde_json::from_slice(&self.blob(digest).await).unwrap()
    }

    /// The layers of an image.
    pub(crate) async fn layers(&self, image: Digest) -> Vec<Digest> {
        let manifest = self.document(image).await;
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].as_str().unwrap().parse().unwrap()).collect()
    }

    pub(crate) fn log(&self, build: BuildId) -> Vec<String> {
        let stream = flynn_core::port::LogStream::Build(build);
        let lines = self.lines.0.lock().unwrap();
        lines.iter().filter(|line| line.stream == stream).map(|line| line.text.clone()).collect()
    }

    /// Nothing is left of any sandbox.
    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        self.node.assert_empty();
        for place in ["sandboxes", "scratch"] {
            let left: Vec<_> = std::fs::read_dir(self.folder.path().join(place)).unwrap().collect();
            assert!(left.is_empty(), "{place}: {left:?}");
        }
    }
}

fn builder(
    clock: &Arc<ManualClock>,
    blobs: &Arc<MemoryBlobs>,
    node: &FakeNode,
    folder: &std::path::Path,
) -> Arc<dyn Builder> {
    let settings = Arc::new(Settings::default());
    let ports = SandboxPorts {
        runtime: Arc::new(node.clone()),
        exec: Arc::new(node.clone()),
        snapshots: Arc::new(node.clone()),
        blobs: blobs.clone(),
        network: Arc::new(node.clone()),
        clock: clock.clone(),
    };
    let spool = folder.join("spool");
    std::fs::create_dir(&spool).unwrap();
    Arc::new(ImageBuilder::new(ImageBuilderParts {
        blobs: blobs.clone(),
        bases: Arc::new(Bases(blobs.clone())),
        sandboxes: Arc::new(Sandboxes::open(ports, settings.clone(), folder).unwrap()),
        keys: Keys::open(folder.join("keys"), clock.clone()).unwrap(),
        buildpacks: all(),
        settings,
        clock: clock.clone(),
        spool,
    }))
}
