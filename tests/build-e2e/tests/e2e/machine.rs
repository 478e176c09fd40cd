//! A machine of its own: containers, file systems, a network, a store and a builder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flynn_build::builder::{Builder, ImageBuilder, ImageBuilderParts};
use flynn_build::buildpack::all;
use flynn_build::image::LayerFiles;
use flynn_build::keys::Keys;
use flynn_build::sandbox::{SandboxPorts, Sandboxes};
use flynn_build::settings::Settings;
use flynn_build::worker::{Worker, WorkerParts};
use flynn_core::conformance::{StoreHarness, World};
use flynn_core::local::DirBlobs;
use flynn_core::noun::{Build, BuildIntent, BuildState, BuildStatus};
use flynn_core::port::{Blobs, LogLine, LogSink, Runtime};
use flynn_core::value::{Digest, Resources};
use flynn_core::{BuildId, Change, Clock, JobId, MemoryStore, Retention, Scope, SystemClock, Timestamp, View};
use flynn_runtime::cgroup::CgroupParent;
use flynn_runtime::image::{ImageOptions, ImageStore, Live};
use flynn_runtime::network::{BridgeNetwork, BridgeOptions, Egress, Network};
use flynn_runtime::shim::LogLimits;
use flynn_runtime::snapshot::{OverlaySnapshots, SnapshotOptions};
use flynn_runtime::{ContainerOptions, ContainerRuntime, Resolvers, ShimProgram};
use tokio::io::AsyncReadExt;

use crate::bases::KeptBases;
use crate::blobs::OverBases;

struct Memory;

#[async_trait]
impl StoreHarness for Memory {
    type Store = MemoryStore;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(clock, retention))
    }
}

/// Shows the log of all builds where a test shows its own.
#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<String>>);

impl LogSink for Lines {
    fn emit(&self, line: LogLine) {
        #[allow(clippy::print_stdout, reason = "it is shown if the test fails")]
        {
            println!("{}", line.text);
        }
        self.0.lock().unwrap().push(line.text);
    }

    fn dropped(&self) -> u64 {
        0
    }
}

impl Lines {
    pub(crate) fn has(&self, words: &str) -> bool {
        self.0.lock().unwrap().iter().any(|line| line.contains(words))
    }
}

pub(crate) struct Machine {
    pub(crate) world: World<MemoryStore>,
    pub(crate) runtime: Arc<ContainerRuntime>,
    pub(crate) images: ImageStore,
    pub(crate) snapshots: Arc<OverlaySnapshots>,
    pub(crate) network: Arc<BridgeNetwork>,
    pub(crate) blobs: Arc<OverBases>,
    pub(crate) lines: Arc<Lines>,
    bases: Arc<KeptBases>,
    view: View,
    follower: tokio::task::JoinHandle<()>,
    builder: Arc<dyn Builder>,
    numbers: Mutex<u64>,
    name: String,
    folder: Option<tempfile::TempDir>,
}

impl Machine {
    pub(crate) async fn new() -> Self {
        let bases = KeptBases::open().await;
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let own = DirBlobs::open(folder.path().join("blobs"), clock.clone()).await.unwrap();
        let blobs = Arc::new(OverBases { own, bases: bases.blobs.clone() });
        let options = ImageOptions { lease: Duration::ZERO, ..ImageOptions::new(bases.unpacked.clone()) };
        let images = open_images(options, blobs.clone(), clock.clone()).await;
        let options = SnapshotOptions { owner: "builds".to_owned(), times: Default::default() };
        let snapshots = Arc::new(OverlaySnapshots::new(&images, options));
        // Left by a run that was killed.
        snapshots.sweep(&BTreeSet::new(), Timestamp::from_millis(u64::MAX)).await.unwrap();
        let world = World::new(&Memory).await;
        let name = unique();
        let runtime = Arc::new(open_runtime(&name, folder.path()));
        let settings = Arc::new(Settings {
            ca_bundle: Some(PathBuf::from("/etc/ssl/certs/ca-certificates.crt")),
            resolv_conf: Some(PathBuf::from("/etc/resolv.conf")),
            ..Settings::default()
        });
        let bridge = BridgeOptions {
            directory: folder.path().join("network"),
            bridge: name.clone(),
            subnet: subnet(&name),
            quarantine: Duration::ZERO,
            egress: Egress {
                resolvers: Resolvers::of_node(&[Path::new("/etc/resolv.conf")]).unwrap().servers,
                allowed: Vec::new(),
            },
            node: None,
        };
        let network = Arc::new(BridgeNetwork::open(bridge, clock.clone()).await.unwrap());
        let ports = SandboxPorts {
            runtime: runtime.clone(),
            exec: runtime.clone(),
            snapshots: snapshots.clone(),
            blobs: blobs.clone(),
            network: network.clone(),
            clock: clock.clone(),
        };
        let directory = folder.path().join("builds");
        let spool = directory.join("spool");
        std::fs::create_dir_all(&spool).unwrap();
        let builder = Arc::new(ImageBuilder::new(ImageBuilderParts {
            blobs: blobs.clone(),
            bases: bases.clone(),
            sandboxes: Arc::new(Sandboxes::open(ports, settings.clone(), &directory).unwrap()),
            keys: Keys::open(directory.join("keys"), clock.clone()).unwrap(),
            buildpacks: all(),
            settings,
            clock,
            spool,
        }));
        builder.warm().await.unwrap();
        let (view, follower) = View::open(world.store.clone(), Scope::All).await.unwrap();
        let follower = tokio::spawn(async { drop(follower.run().await) });
        let (lines, numbers) = (Arc::default(), Mutex::new(0));
        Self {
            world,
            runtime,
            images,
            snapshots,
            network,
            blobs,
            lines,
            bases,
            view,
            follower,
            builder,
            numbers,
            name,
            folder: Some(folder),
        }
    }

    fn worker(&self) -> Worker<MemoryStore> {
        Worker::new(WorkerParts {
            store: self.world.store.clone(),
            node: self.world.node,
            builder: self.builder.clone(),
            log: self.lines.clone(),
            clock: Arc::new(SystemClock),
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

    /// A build that is placed on this node.
    pub(crate) async fn place(&self, files: &[(&str, &str)]) -> BuildId {
        let file = |tar: LayerFiles, (path, text): &(&str, &str)| tar.file(path, 0o644, (0, 0), text.as_bytes());
        let tar = files.iter().fold(LayerFiles::default(), file).into_tar();
        let source = self.blobs.put(Box::new(std::io::Cursor::new(tar)), None).await.unwrap().digest;
        let number = {
            let mut numbers = self.numbers.lock().unwrap();
            *numbers += 1;
            *numbers
        };
        let resources = Resources { memory_bytes: 2 << 30, pids: 512, ..Resources::ZERO };
        let app = self.world.app;
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
        let placed = Build { node: Some(self.world.node), ..build.clone() };
        let status = BuildStatus { state: BuildState::Assigned, since: Timestamp::EPOCH };
        let id = self.world.id();
        let team = self.world.team;
        self.world
            .commit([Change::create(id, team, build), Change::update(id, placed), Change::report(id, status)])
            .await;
        id
    }

    pub(crate) async fn cancel(&self, build: BuildId) {
        let stored = self.world.get(build).await.unwrap();
        let cancelled = Build { desired: BuildIntent::Cancel, ..stored.spec.clone() };
        self.world.commit([Change::update(build, cancelled)]).await;
    }

    pub(crate) async fn ended(&self, build: BuildId) -> BuildState {
        let mut changes = self.view.changes();
        let wait = async {
            loop {
                let state = self.view.snapshot().objects.get(build).map(|build| build.status.state.clone());
                if let Some(state) = state.filter(BuildState::is_end) {
                    return state;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(100), wait).await.expect("the build does not end")
    }

    /// Builds, and says how that ended.
    pub(crate) async fn build(&self, files: &[(&str, &str)]) -> BuildState {
        self.working(async {
            let build = self.place(files).await;
            self.ended(build).await
        })
        .await
    }

    pub(crate) async fn layers(&self, image: Digest) -> Vec<Digest> {
        use flynn_core::port::Images;
        self.images.resolve(image).await.unwrap().layers
    }

    /// The configuration of an image.
    pub(crate) async fn config(&self, image: Digest) -> serde_json::Value {
        let manifest = self.document(image).await;
        self.document(manifest["config"]["digest"].as_str().unwrap().parse().unwrap()).await
    }

    async fn document(&self, digest: Digest) -> serde_json::Value {
        let mut text = Vec::new();
        self.blobs.open(digest).await.unwrap().read_to_end(&mut text).await.unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    pub(crate) fn snapshots_left(&self) -> impl Future<Output = usize> {
        let snapshots = self.snapshots.clone();
        async move { snapshots.list().await.unwrap().len() }
    }

    /// No build has anything left of it, without a worker being started for it.
    pub(crate) async fn assert_nothing_left(&self, when: &str) {
        assert_eq!(self.runtime.list().await.unwrap(), [], "{when}");
        assert_eq!(self.network.list().await.unwrap(), [], "{when}");
        assert_eq!(self.snapshots_left().await, 0, "{when}");
        let folder = self.folder.as_ref().unwrap();
        for place in ["sandboxes", "scratch", "spool"] {
            let left = std::fs::read_dir(folder.path().join("builds").join(place)).unwrap().count();
            assert_eq!(left, 0, "{place}, {when}");
        }
    }

    /// Takes everything away, and makes sure that nothing was left that should not be there.
    pub(crate) async fn close(mut self) {
        self.assert_nothing_left("at the end").await;
        let folder = self.folder.take().unwrap();
        self.runtime.sweep().await.unwrap();
        let live = Live { chains: self.bases.chains(), ..Live::default() };
        self.images.collect(&live).await.unwrap();
        self.follower.abort();
        let network = self.network.clone();
        drop(self);
        Arc::into_inner(network).expect("somebody uses the network").close().await.unwrap();
        folder.close().unwrap();
    }
}

/// A failed test leaves nothing running either.
impl Drop for Machine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (runtime, network) = (self.runtime.clone(), self.network.clone());
        let clean = async move {
            for container in runtime.list().await.unwrap_or_default() {
                let _left = runtime.remove(container.job).await;
            }
            for attachment in network.list().await.unwrap_or_default() {
                let _left = network.detach(attachment.job).await;
            }
            let _left = runtime.sweep().await;
        };
        let cleaner = std::thread::spawn(|| tokio::runtime::Runtime::new().map(|own| own.block_on(clean)));
        let _left = cleaner.join();
        for command in [["ip", "link", "delete", &self.name], ["nft", "delete table", "inet", &self.name]] {
            let words: Vec<_> = command.iter().flat_map(|words| words.split(' ')).collect();
            let _left = std::process::Command::new(words[0]).args(&words[1..]).status();
        }
    }
}

/// The process of the test before gives up the base images a moment before it gives up this directory.
async fn open_images(options: ImageOptions, blobs: Arc<OverBases>, clock: Arc<dyn Clock>) -> ImageStore {
    let open = async {
        loop {
            match ImageStore::open(options.clone(), blobs.clone(), clock.clone()).await {
                Err(error) if format!("{error:?}").contains("AddrInUse") => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                opened => return opened.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), open).await.expect("somebody else uses the unpacked base images")
}

fn unique() -> String {
    let id: JobId = flynn_core::Ids::from_entropy().next(SystemClock.now());
    let hex = id.uuid().simple().to_string();
    format!("be{}", &hex[hex.len() - 7..])
}

/// One of 256, so that runs at the same time rarely meet.
fn subnet(name: &str) -> flynn_runtime::network::Subnet {
    let number = name.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    format!("10.213.{number}.0/24").parse().unwrap()
}

fn open_runtime(name: &str, folder: &Path) -> ContainerRuntime {
    let tests = std::env::current_exe().unwrap();
    let shim = tests.parent().and_then(Path::parent).unwrap().join("flynn-shim");
    let program = ShimProgram::load(&shim).expect("build flynn-shim first: cargo build -p flynn-shim");
    let cgroups: CgroupParent = format!("/flynn-test-{name}").parse().unwrap();
    let directory = folder.join("runtime");
    let options = ContainerOptions { directory, owner: name.to_owned(), cgroups, log: LogLimits::default() };
    ContainerRuntime::open(options, program).unwrap()
}
