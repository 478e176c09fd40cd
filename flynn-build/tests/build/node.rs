//! A node whose containers do what a test says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flynn_build::image::LayerFiles;
use flynn_build::sandbox::SandboxNetwork;
use flynn_core::noun::Exit;
use flynn_core::port::{
    Blobs, Container, ContainerSpec, ContainerState, Exec, ImageError, Mount, MountSource, Prepared, Process, Runtime,
    RuntimeError, Session, SessionControl, Signal, SnapshotKey, Snapshots, TerminalSize, Wakes,
};
use flynn_core::value::Digest;
use flynn_core::{AppId, BoxError, JobId, MemoryBlobs, Timestamp};
use futures::StreamExt;
use tokio::sync::watch;

/// What the next container does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Play {
    /// What it writes to its output.
    pub(crate) output: String,
    /// What it writes to its errors.
    pub(crate) errors: String,
    /// A file that it leaves in its file system.
    pub(crate) leaves: Option<(&'static str, String)>,
    /// How it ends; it runs until it is removed if that is not said.
    pub(crate) exit: Option<Exit>,
}

impl Play {
    pub(crate) fn ends(code: i32, errors: &str) -> Self {
        Self { errors: errors.to_owned(), exit: Some(Exit::Code(code)), ..Self::default() }
    }
}

struct Running {
    spec: ContainerSpec,
    play: Play,
    exit: watch::Sender<Option<Exit>>,
    started: bool,
}

#[derive(Default)]
struct State {
    plays: VecDeque<Play>,
    containers: BTreeMap<JobId, Running>,
    snapshots: BTreeMap<String, Vec<Digest>>,
    networks: BTreeSet<JobId>,
    started: Vec<ContainerSpec>,
    chains: Vec<Vec<Digest>>,
    /// What the last container that was started left.
    left: Option<(&'static str, String)>,
    failures: usize,
    next: usize,
}

/// Everything of a node that sandboxes need.
#[derive(Clone)]
pub(crate) struct FakeNode {
    state: Arc<Mutex<State>>,
    blobs: Arc<MemoryBlobs>,
    changed: watch::Sender<()>,
}

impl FakeNode {
    pub(crate) fn new(blobs: Arc<MemoryBlobs>) -> Self {
        Self { state: Arc::default(), blobs, changed: watch::Sender::new(()) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let outcome = act(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        outcome
    }

    /// Says what the next containers do; without a word they end well.
    pub(crate) fn play(&self, plays: impl IntoIterator<Item = Play>) {
        self.with(|state| state.plays.extend(plays));
    }

    /// Lets the next preparations of a file system fail.
    pub(crate) fn fail(&self, times: usize) {
        self.with(|state| state.failures = times);
    }

    /// What was started so far.
    pub(crate) fn started(&self) -> Vec<ContainerSpec> {
        self.with(|state| state.started.clone())
    }

    /// The layers that were put together so far, but for the mount points.
    pub(crate) fn chains(&self) -> Vec<Vec<Digest>> {
        self.with(|state| state.chains.iter().map(|chain| chain[1..].to_vec()).collect())
    }

    /// Waits until so many containers run.
    pub(crate) async fn until_running(&self, count: usize) {
        let mut changes = self.changed.subscribe();
        let running =
            |state: &State| state.containers.values().filter(|c| c.started && c.exit.borrow().is_none()).count();
        while running(&self.state.lock().unwrap()) != count {
            changes.changed().await.unwrap();
        }
    }

    /// Waits until so many containers were started, those that are gone included.
    pub(crate) async fn until_started(&self, count: usize) {
        let mut changes = self.changed.subscribe();
        while self.state.lock().unwrap().started.len() != count {
            changes.changed().await.unwrap();
        }
    }

    /// Lets a container of this app end.
    pub(crate) fn finish(&self, app: AppId) {
        self.with(|state| {
            let container = state.containers.values().find(|c| c.spec.app == app && c.started).unwrap();
            container.exit.send_replace(Some(Exit::Code(0)));
        });
    }

    #[track_caller]
    pub(crate) fn assert_empty(&self) {
        let state = self.state.lock().unwrap();
        assert!(state.containers.is_empty(), "{:?}", state.containers.keys());
        assert!(state.snapshots.is_empty(), "{:?}", state.snapshots.keys());
        assert!(state.networks.is_empty(), "{:?}", state.networks);
    }
}

#[async_trait]
impl Runtime for FakeNode {
    async fn create(&self, job: JobId, spec: ContainerSpec) -> Result<(), RuntimeError> {
        self.with(|state| {
            let play = state.plays.pop_front().unwrap_or_else(|| Play::ends(0, ""));
            let exit = watch::Sender::new(None);
            state.containers.insert(job, Running { spec, play, exit, started: false });
        });
        Ok(())
    }

    async fn start(&self, job: JobId) -> Result<(), RuntimeError> {
        self.with(|state| {
            let container = state.containers.get_mut(&job).unwrap();
            container.started = true;
            state.left = container.play.leaves.take();
            container.exit.send_replace(container.play.exit.clone());
            state.started.push(container.spec.clone());
        });
        Ok(())
    }

    async fn signal(&self, _: JobId, _: Signal) -> Result<(), RuntimeError> {
        unreachable!("sandboxes send no signals")
    }

    async fn remove(&self, job: JobId) -> Result<(), RuntimeError> {
        self.with(|state| state.containers.remove(&job));
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Container>, RuntimeError> {
        let container =
            |job: &JobId| Container { job: *job, state: ContainerState::Running { since: Timestamp::EPOCH } };
        Ok(self.with(|state| state.containers.keys().map(container).collect()))
    }

    fn exits(&self) -> Wakes {
        futures::stream::pending().boxed()
    }
}

#[async_trait]
impl Exec for FakeNode {
    async fn exec(&self, _: JobId, _: Process) -> Result<Session, RuntimeError> {
        unreachable!("sandboxes run one command")
    }

    async fn attach(&self, job: JobId) -> Result<Session, RuntimeError> {
        Ok(self.with(|state| {
            let container = &state.containers[&job];
            Session {
                input: Box::new(tokio::io::sink()),
                output: Box::new(Cursor::new(container.play.output.clone().into_bytes())),
                errors: Some(Box::new(Cursor::new(container.play.errors.clone().into_bytes()))),
                control: Box::new(Control(container.exit.subscribe())),
            }
        }))
    }
}

struct Control(watch::Receiver<Option<Exit>>);

#[async_trait]
impl SessionControl for Control {
    async fn resize(&self, _: TerminalSize) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn signal(&self, _: Signal) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn wait(&self) -> Result<Exit, RuntimeError> {
        let mut exit = self.0.clone();
        let ended = exit.wait_for(Option::is_some).await;
        let ended = ended.map_err(|source| RuntimeError::Failed { operation: "wait", source: source.into() })?;
        Ok(ended.clone().unwrap())
    }
}

#[async_trait]
impl Snapshots for FakeNode {
    async fn prepare(&self, chain: &[Digest]) -> Result<Prepared, ImageError> {
        for layer in chain {
            if self.blobs.stat(*layer).await.unwrap().is_none() {
                return Err(ImageError::NotFound { operation: "prepare", what: layer.to_string() });
            }
        }
        self.with(|state| {
            if state.failures > 0 {
                state.failures -= 1;
                return Err(ImageError::Unavailable { operation: "prepare", source: "the disk is full".into() });
            }
            state.next += 1;
            let key = format!("snapshot-{}", state.next);
            state.snapshots.insert(key.clone(), chain.to_vec());
            state.chains.push(chain.to_vec());
            let root = MountSource::Bind(PathBuf::from("/nowhere"));
            let mounts = vec![Mount { source: root, target: PathBuf::from("/"), read_only: false }];
            Ok(Prepared { key: SnapshotKey(key), mounts })
        })
    }

    async fn commit(&self, key: &SnapshotKey) -> Result<Digest, ImageError> {
        // The content depends on what was there before, as that of a real one does.
        let chain = self.with(|state| state.snapshots.remove(&key.0)).unwrap();
        let content = match self.with(|state| state.left.take()) {
            Some((path, text)) => LayerFiles::default().file(path, 0o644, (0, 0), text.as_bytes()).into_tar(),
            None => format!("written over {chain:?} as {}", key.0).into_bytes(),
        };
        let content = Cursor::new(content);
        Ok(self.blobs.put(Box::new(content), None).await.unwrap().digest)
    }

    async fn discard(&self, key: &SnapshotKey) -> Result<(), ImageError> {
        self.with(|state| state.snapshots.remove(&key.0));
        Ok(())
    }
}

#[async_trait]
impl SandboxNetwork for FakeNode {
    async fn attach(&self, sandbox: JobId, _: AppId, _: &BTreeSet<(String, u16)>) -> Result<PathBuf, BoxError> {
        self.with(|state| state.networks.insert(sandbox));
        Ok(PathBuf::from("/run/netns").join(sandbox.to_string()))
    }

    async fn detach(&self, sandbox: JobId) -> Result<(), BoxError> {
        self.with(|state| state.networks.remove(&sandbox));
        Ok(())
    }
}
