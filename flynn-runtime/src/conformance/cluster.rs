use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flynn_core::change::{Batch, Change};
use flynn_core::name::{AppName, NodeName, ProcessName, TeamName};
use flynn_core::noun::{
    App, Desired, Exit, Job, JobState, JobStatus, Liveness, Node, NodeStatus, OneOffInput, ProcessType, Purpose,
    Release, ReleaseCause, Stored, Team, Terminal, Workload,
};
use flynn_core::port::Store;
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, Clock, Id, Ids, JobId, MemoryStore, NodeId, Principal, ReleaseId, Scope, SystemClock, TeamId};

/// A store with an app, a release and a node to place jobs on: what an agent is the agent of.
#[derive(Debug)]
pub struct Cluster {
    /// The store.
    pub store: Arc<MemoryStore>,
    /// The team.
    pub team: TeamId,
    /// Its app.
    pub app: AppId,
    /// The release.
    pub release: ReleaseId,
    /// The node.
    pub node: NodeId,
    ids: Mutex<Ids>,
    instances: Mutex<u32>,
}

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(5);

impl Default for Cluster {
    fn default() -> Self {
        let mut ids = Ids::from_entropy();
        let now = SystemClock.now();
        Self {
            store: Arc::default(),
            team: ids.next(now),
            app: ids.next(now),
            release: ids.next(now),
            node: ids.next(now),
            ids: Mutex::new(ids),
            instances: Mutex::new(0),
        }
    }
}

impl Cluster {
    /// A cluster whose node was not heard of yet.
    pub async fn new() -> Self {
        let cluster = Self::default();
        let release = Release {
            app: cluster.app,
            number: 1,
            image: Digest::from_bytes([1; 32]),
            env: BTreeMap::new(),
            processes: BTreeMap::from([(process("web"), ProcessType::new(vec!["true".into()]))]),
            cause: ReleaseCause::Image("test".into()),
            commit: None,
            branch: None,
        };
        cluster
            .commit([
                Change::create(cluster.team, TeamId::SYSTEM, Team { name: TeamName::new("red").unwrap() }),
                Change::create(cluster.app, cluster.team, App::new(AppName::new("web").unwrap())),
                Change::create(cluster.release, cluster.team, release),
                Change::create(cluster.node, TeamId::SYSTEM, Node::new(NodeName::new("n1").unwrap())),
            ])
            .await;
        cluster
    }

    /// The node as an agent says it is.
    pub fn status(&self) -> NodeStatus {
        let capacity = Resources { cpu_millis: 64_000, memory_bytes: 64 << 30, disk_bytes: 1 << 40, pids: 1 << 20 };
        NodeStatus { capacity, version: "test".to_owned(), boot: "this boot".to_owned(), ..NodeStatus::default() }
    }

    /// Commits as the system.
    pub async fn commit(&self, changes: impl IntoIterator<Item = Change>) {
        let batch = Batch { changes: changes.into_iter().collect(), ..Batch::new(Principal::System) };
        self.store.commit(batch).await.unwrap();
    }

    /// A fresh id.
    pub fn id<N>(&self) -> Id<N> {
        self.ids.lock().unwrap().next(SystemClock.now())
    }

    /// A job that runs `program` as a service.
    pub fn service(&self, program: ProcessType) -> Job {
        let mut instances = self.instances.lock().unwrap();
        *instances += 1;
        let purpose = Purpose::Service { process: process("web"), instance: *instances, deployment: None };
        self.describe(purpose, program)
    }

    /// A `run` of `program`.
    pub fn one_off(&self, program: ProcessType, terminal: Terminal, input: OneOffInput) -> Job {
        self.describe(Purpose::OneOff { terminal, input }, program)
    }

    fn describe(&self, purpose: Purpose, process: ProcessType) -> Job {
        Job {
            app: self.app,
            release: self.release,
            purpose,
            workload: Arc::new(Workload {
                app: AppName::new("web").unwrap(),
                release: 1,
                image: Digest::from_bytes([1; 32]),
                process,
                env: BTreeMap::new(),
            }),
            resources: Resources { memory_bytes: 64 << 20, pids: 64, ..Resources::ZERO },
            attempt: 0,
            not_before: SystemClock.now(),
            node: None,
            desired: Desired::Up,
        }
    }

    /// Places a job on the node, which must have been heard of.
    pub async fn place(&self, job: Job) -> JobId {
        self.known().await;
        let id = self.id();
        let placed = Job { node: Some(self.node), ..job.clone() };
        let status = JobStatus { state: JobState::Assigned, since: SystemClock.now() };
        self.commit([Change::create(id, self.team, job)]).await;
        self.commit([Change::update(id, placed), Change::report(id, status)]).await;
        id
    }

    /// Waits until the node has reported.
    pub async fn known(&self) {
        self.until("the node is known", async || {
            (self.get(self.node).await?.status.liveness == Liveness::Ready).then_some(())
        })
        .await;
    }

    /// An object as it is stored.
    pub async fn get<N: flynn_core::noun::Noun>(&self, id: Id<N>) -> Option<Arc<Stored<N>>> {
        self.store.snapshot(Scope::All).await.unwrap().objects.get(id).cloned()
    }

    /// The state of a job that is there.
    pub async fn state(&self, job: JobId) -> JobState {
        self.get(job).await.unwrap().status.state.clone()
    }

    /// Says what is intended for a job.
    pub async fn tell(&self, id: JobId, desired: Desired) {
        let job = self.get(id).await.unwrap();
        self.commit([Change::update(id, Job { desired, ..job.spec.clone() })]).await;
    }

    /// Removes a job that has ended.
    pub async fn forget(&self, id: JobId) {
        self.commit([Change::remove(id)]).await;
    }

    /// Waits until a job is up, and gives the address.
    pub async fn up(&self, job: JobId) -> Option<std::net::SocketAddr> {
        let up = async || match self.state(job).await {
            JobState::Up { address, .. } => Some(address),
            end @ (JobState::Exited(_) | JobState::Lost { .. }) => panic!("{job} has ended: {end:?}"),
            _ => None,
        };
        self.until("the job is up", up).await
    }

    /// Waits for the exit of a job.
    pub async fn exit(&self, job: JobId) -> Exit {
        let exit = async || match self.state(job).await {
            JobState::Exited(exit) => Some(exit),
            JobState::Lost { reason } => panic!("{job} was lost: {reason}"),
            _ => None,
        };
        self.until("the job has ended", exit).await
    }

    /// Waits until `condition` gives something.
    pub async fn until<T>(&self, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            if Instant::now() >= end {
                let jobs = self.store.snapshot(Scope::All).await.unwrap().objects;
                let states: Vec<_> = jobs.iter::<Job>().map(|job| (job.id, job.status.state.clone())).collect();
                panic!("waited in vain until {what}: {states:?}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn process(name: &str) -> ProcessName {
    ProcessName::new(name).unwrap()
}
