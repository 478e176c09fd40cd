use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use sha2::{Digest as _, Sha256};

use super::ManualClock;
use crate::change::{Batch, Change};
use crate::error::StoreError;
use crate::id::{Id, Ids};
use crate::name::{AppName, EnvKey, HostPattern, NodeName, ProcessName, TeamName};
use crate::noun::{
    App, AppId, DeployIntent, DeployPolicy, Deployment, Desired, Entry, Job, JobId, JobState, JobStatus, Liveness,
    Node, NodeId, NodeStatus, Noun, OneOffInput, ProcessType, Purpose, Release, ReleaseCause, ReleaseId, Route, Scale,
    Stored, Strategy, Team, TeamId, Terminal, TokenId, Workload,
};
use crate::port::{Commit, Committed, Elections, EventLog, History, Store, Tail, TailError};
use crate::retention::Retention;
use crate::rule::Principal;
use crate::scope::Scope;
use crate::time::{Clock, Timestamp};
use crate::token::TokenSecret;
use crate::value::{Digest, KeyId, Resources, Sealed};

/// The secret of the token `id` that a suite made. A harness whose store asks its callers who they are lets
/// a batch of this bearer come from whoever shows it.
pub fn token_secret(id: TokenId) -> TokenSecret {
    TokenSecret::from_bits(&Sha256::digest(id.uuid()).into())
}

/// Makes the stores that a suite is run against.
#[async_trait]
pub trait StoreHarness: Send + Sync {
    /// The implementation under test.
    type Store: Store + EventLog + History + Elections + 'static;

    /// An empty store that goes by `clock` and keeps what `retention` says.
    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<Self::Store>;
}

/// A store with a team, an app with one release, and a node to place things on.
#[derive(Debug)]
pub struct World<S> {
    /// The store.
    pub store: Arc<S>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// The team `red`.
    pub team: TeamId,
    /// Its app `web`.
    pub app: AppId,
    /// Release 1 of that app.
    pub release: ReleaseId,
    /// The node `n1`: 4 cores, 4 GiB.
    pub node: NodeId,
    ids: Mutex<Ids>,
}

impl<S: Store + EventLog + History + Elections + 'static> World<S> {
    /// A world in a store made by `harness`.
    pub async fn new<H: StoreHarness<Store = S>>(harness: &H) -> Self {
        Self::with_retention(harness, Retention::default()).await
    }

    /// The same with limits of its own.
    pub async fn with_retention<H: StoreHarness<Store = S>>(harness: &H, retention: Retention) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let store = harness.open(clock.clone(), retention).await;
        let mut ids = Ids::seeded(1);
        let now = clock.now();
        let world = Self {
            store,
            clock,
            team: ids.next(now),
            app: ids.next(now),
            release: ids.next(now),
            node: ids.next(now),
            ids: Mutex::new(ids),
        };
        world.populate().await;
        world
    }

    async fn populate(&self) {
        let status = NodeStatus { liveness: Liveness::Ready, capacity: gib(4_000, 4), ..NodeStatus::default() };
        self.commit([
            Change::create(self.team, TeamId::SYSTEM, Team { name: TeamName::new("red").unwrap() }),
            Change::create(self.app, self.team, app("web")),
            Change::create(self.release, self.team, release(self.app, 1)),
            Change::create(self.node, TeamId::SYSTEM, Node::new(NodeName::new("n1").unwrap())),
            Change::report(self.node, status),
        ])
        .await;
    }

    /// A fresh id.
    pub fn id<N>(&self) -> Id<N> {
        self.ids.lock().unwrap().next(self.clock.now())
    }

    /// Commits as the system, which must succeed.
    pub async fn commit(&self, changes: impl IntoIterator<Item = Change>) -> Committed {
        self.commit_as(Principal::System, changes).await.unwrap()
    }

    /// Commits as `principal`.
    pub async fn commit_as(
        &self,
        principal: Principal,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<Committed, StoreError> {
        self.store.commit(Batch { changes: changes.into_iter().collect(), ..Batch::new(principal) }).await
    }

    /// The object as it is stored.
    pub async fn get<N: Noun>(&self, id: Id<N>) -> Option<Arc<Stored<N>>> {
        self.store.snapshot(Scope::All).await.unwrap().objects.get(id).cloned()
    }

    /// Creates a further app of the team.
    pub async fn create_app(&self, name: &str) -> AppId {
        let id = self.id();
        self.commit([Change::create(id, self.team, app(name))]).await;
        id
    }

    /// Creates a job `web.INSTANCE`, not placed.
    pub async fn create_job(&self, instance: u32) -> JobId {
        let id = self.id();
        self.commit([Change::create(id, self.team, self.job(instance))]).await;
        id
    }

    /// The spec of a job `web.INSTANCE` of half a core, 512 MiB of memory, 1 GiB of disk and 512 processes.
    pub fn job(&self, instance: u32) -> Job {
        Job {
            app: self.app,
            release: self.release,
            purpose: Purpose::Service { process: process("web"), instance, deployment: None },
            workload: Arc::new(Workload {
                app: AppName::new("web").unwrap(),
                release: 1,
                image: Digest::from_bytes([1; 32]),
                process: ProcessType { port: Some(8080), ..ProcessType::new(vec!["./serve".into()]) },
                env: BTreeMap::from([(EnvKey::new("SECRET").unwrap(), sealed())]),
            }),
            resources: Resources { cpu_millis: 500, ..Scale::RESOURCES },
            attempt: 0,
            not_before: Timestamp::EPOCH,
            node: None,
            desired: Desired::Up,
        }
    }

    /// The spec of a one-off job.
    pub fn one_off(&self) -> Job {
        Job { purpose: Purpose::OneOff { terminal: Terminal::None, input: OneOffInput::Closed }, ..self.job(1) }
    }

    /// The spec of a first deployment of the app.
    pub fn deployment(&self) -> Deployment {
        Deployment {
            app: self.app,
            from: None,
            to: self.release,
            strategy: Strategy::AllAtOnce,
            policy: DeployPolicy::default(),
            desired: DeployIntent::Proceed,
        }
    }

    /// Places a job on the node.
    pub async fn place(&self, id: JobId) -> Result<Committed, StoreError> {
        let job = self.get(id).await.unwrap();
        let placed = Job { node: Some(self.node), ..job.spec.clone() };
        self.commit_as(Principal::System, [Change::update(id, placed), in_state(id, JobState::Assigned)]).await
    }

    /// The commits of `scope` after `after` that are there already.
    pub async fn commits(&self, scope: Scope, after: crate::revision::Revision) -> Vec<Commit> {
        let head = self.store.snapshot(Scope::All).await.unwrap().revision;
        read_to(&mut self.store.tail(scope, after), after, head).await.unwrap()
    }
}

/// Reads `tail`, which stands at `after`, until it has come to `head`.
pub(crate) async fn read_to(
    tail: &mut Tail,
    after: crate::revision::Revision,
    head: crate::revision::Revision,
) -> Result<Vec<Commit>, TailError> {
    let mut commits = Vec::new();
    let mut position = after;
    while position < head {
        let next = tokio::time::timeout(Duration::from_secs(30), tail.next()).await;
        let commit = next.expect("the tail hangs before the head").expect("the tail ended without an error")?;
        position = commit.revision;
        commits.push(commit);
    }
    Ok(commits)
}

/// Whether `tail` has nothing to give at this moment.
pub(crate) fn is_idle(tail: &mut Tail) -> bool {
    tail.next().now_or_never().is_none()
}

pub(crate) fn app(name: &str) -> App {
    App::new(AppName::new(name).unwrap())
}

pub(crate) fn process(name: &str) -> ProcessName {
    ProcessName::new(name).unwrap()
}

pub(crate) fn sealed() -> Sealed {
    Sealed { key: KeyId("k1".into()), bytes: vec![1, 2, 3] }
}

pub(crate) fn release(app: AppId, number: u64) -> Release {
    Release {
        app,
        number,
        image: Digest::from_bytes([1; 32]),
        env: BTreeMap::new(),
        processes: BTreeMap::from([(process("web"), ProcessType::new(vec!["./serve".into()]))]),
        cause: ReleaseCause::Image("test".into()),
        commit: None,
        branch: None,
    }
}

pub(crate) fn route(app: AppId, host: &str) -> Route {
    Route { app, process: process("web"), entry: Entry::host(HostPattern::new(host).unwrap()) }
}

pub(crate) fn gib(cpu_millis: u64, memory_gib: u64) -> Resources {
    Resources { cpu_millis, memory_bytes: memory_gib << 30, disk_bytes: 1 << 40, pids: 1 << 20 }
}

pub(crate) fn in_state(id: JobId, state: JobState) -> Change {
    Change::report(id, JobStatus { state, since: Timestamp::EPOCH })
}
