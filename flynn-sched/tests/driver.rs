//! The controller as it runs: on a store, with a seat to win and to lose.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::conformance::ManualClock;
use flynn_core::election::{Campaign, Seat};
use flynn_core::name::{AppName, NodeName, ProcessName, TeamName};
use flynn_core::noun::{
    App, DeployIntent, DeployPolicy, Deployment, DeploymentId, DeploymentState, Desired, Exit, Formation, FormationId,
    Health, Job, JobState, JobStatus, Liveness, Node, NodeStatus, ProcessType, Release, ReleaseCause, Scale, Strategy,
    Team,
};
use flynn_core::port::{Beat, Elections, Member, Presence, Snapshot, Store};
use flynn_core::value::Digest;
use flynn_core::{AppId, Batch, Change, Clock, Id, Ids, MemoryPresence, MemoryStore, NodeId, Principal, ReleaseId};
use flynn_core::{Retention, Revision, Scope, TeamId, Timestamp};
use flynn_sched::{Config, Controller, ControllerError, DEFAULT_RESOURCES};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Cluster {
    store: Arc<MemoryStore>,
    presence: Arc<MemoryPresence>,
    clock: Arc<ManualClock>,
    ids: Ids,
    team: TeamId,
    app: AppId,
    node: NodeId,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ControllerError>>,
}

impl Running {
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

const STEP: Duration = Duration::from_millis(100);

impl Cluster {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let store = Arc::new(MemoryStore::new(clock.clone(), Retention::default()));
        let presence = Arc::new(MemoryPresence::new(clock.clone()));
        let mut ids = Ids::seeded(1);
        let now = clock.now();
        let (team, app, node) = (ids.next(now), ids.next(now), ids.next(now));
        let cluster = Self { store, presence, clock, ids, team, app, node };
        let status =
            NodeStatus { liveness: Liveness::Ready, capacity: DEFAULT_RESOURCES.times(20), ..NodeStatus::default() };
        let changes = [
            Change::create(team, TeamId::SYSTEM, Team { name: TeamName::new("red").unwrap() }),
            Change::create(app, team, App::new(AppName::new("shop").unwrap())),
            Change::create(node, TeamId::SYSTEM, Node::new(NodeName::new("n1").unwrap())),
            Change::report(node, status),
        ];
        cluster.commit(Principal::System, changes).await;
        cluster
    }

    fn id<N>(&mut self) -> Id<N> {
        self.ids.next(self.clock.now())
    }

    async fn commit(&self, principal: Principal, changes: impl IntoIterator<Item = Change>) {
        let batch = Batch { changes: changes.into_iter().collect(), ..Batch::new(principal) };
        self.store.commit(batch).await.unwrap();
    }

    async fn snapshot(&self) -> Snapshot {
        self.store.snapshot(Scope::All).await.unwrap()
    }

    async fn deploy(&mut self) -> DeploymentId {
        let (to, id): (ReleaseId, DeploymentId) = (self.id(), self.id());
        let web = ProcessType { port: Some(8080), ..ProcessType::new(vec!["./serve".into()]) };
        let release = Release {
            app: self.app,
            number: 1,
            image: Digest::from_bytes([1; 32]),
            env: BTreeMap::new(),
            processes: BTreeMap::from([(ProcessName::new("web").unwrap(), web)]),
            cause: ReleaseCause::Image("test".into()),
            commit: None,
            branch: None,
        };
        let deployment = Deployment {
            app: self.app,
            from: None,
            to,
            strategy: Strategy::OneByOne,
            policy: DeployPolicy::default(),
            desired: DeployIntent::Proceed,
        };
        let team = self.team;
        self.commit(Principal::System, [Change::create(to, team, release), Change::create(id, team, deployment)]).await;
        id
    }

    async fn scale(&mut self, count: u32) {
        let found = self.snapshot().await.objects.iter::<Formation>().next().cloned();
        let scale = Scale::of(count, DEFAULT_RESOURCES);
        let processes = BTreeMap::from([(ProcessName::new("web").unwrap(), scale)]);
        let formation = Formation { app: self.app, processes };
        let change = match found {
            Some(found) => Change::update(found.id, formation),
            None => {
                let id: FormationId = self.id();
                Change::create(id, self.team, formation)
            }
        };
        self.commit(Principal::System, [change]).await;
    }

    fn control(&self, holder: &str) -> Running {
        let config = Config { ids: Ids::seeded(9), ..Config::new(holder) };
        let controller = Controller::new(self.store.clone(), self.presence.clone(), self.clock.clone(), config);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(controller.run(async {
            drop(stopped.await);
        }));
        Running { stop, task }
    }

    /// The node does what it does, and time passes on both clocks.
    async fn live(&self, steps: u32) {
        for _ in 0..steps {
            let beat = Beat { incarnation: "1".into(), acknowledged: Revision::ZERO };
            self.presence.beat(Member::Node(self.node), beat, Duration::from_secs(3)).await.unwrap();
            for job in self.snapshot().await.objects.iter::<Job>() {
                let state = match (&job.status.state, job.spec.desired) {
                    (JobState::Assigned, _) => JobState::Starting,
                    (JobState::Starting, _) => JobState::Up { address: None, health: Health::Healthy },
                    (JobState::Up { .. }, Desired::Down) => JobState::Exited(Exit::Code(0)),
                    _ => continue,
                };
                let status = JobStatus { state, since: self.clock.now() };
                self.commit(Principal::Node(self.node), [Change::report(job.id, status)]).await;
            }
            self.clock.advance(STEP);
            tokio::time::sleep(STEP).await;
        }
    }

    async fn healthy(&self) -> usize {
        let objects = self.snapshot().await.objects;
        objects.iter::<Job>().filter(|job| matches!(job.status.state, JobState::Up { .. })).count()
    }

    async fn until_healthy(&self, count: usize) {
        for _ in 0..600 {
            if self.healthy().await == count {
                return;
            }
            self.live(1).await;
        }
        panic!("{} of {count} came up within a minute", self.healthy().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_deploys_scales_and_hands_over() {
    let mut cluster = Cluster::new().await;
    let first = cluster.control("a");
    cluster.live(2).await;
    let second = cluster.control("b");
    let deployment = cluster.deploy().await;
    cluster.until_healthy(1).await;
    cluster.live(10).await;
    let state = cluster.snapshot().await.objects.get(deployment).unwrap().status.state.clone();
    assert_eq!(state, DeploymentState::Done);
    cluster.scale(4).await;
    cluster.until_healthy(4).await;
    first.end().await;
    cluster.scale(2).await;
    cluster.until_healthy(2).await;
    second.end().await;
    let before = cluster.snapshot().await.revision;
    cluster.scale(3).await;
    cluster.live(100).await;
    assert_eq!(cluster.snapshot().await.revision, before.next(), "something writes although nobody controls");
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_seat_stops_writing_until_it_is_won_again() {
    let mut cluster = Cluster::new().await;
    let controller = cluster.control("a");
    cluster.deploy().await;
    cluster.until_healthy(1).await;
    cluster.live(20).await;
    // The store's clock runs past the lease at once, as it does for a process that was suspended.
    cluster.clock.advance(Duration::from_secs(60));
    let thief = cluster.store.campaign(Seat::Controller, "thief", Duration::from_secs(30)).await.unwrap();
    let Campaign::Won(lease) = thief else { panic!("the lease outlives its term") };
    cluster.scale(3).await;
    let written = cluster.snapshot().await.revision;
    cluster.live(200).await;
    assert_eq!(cluster.snapshot().await.revision, written, "a deposed controller wrote");
    cluster.store.resign(Seat::Controller, lease.epoch).await.unwrap();
    cluster.until_healthy(3).await;
    controller.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_is_left_is_taken_when_its_lease_ends() {
    let mut cluster = Cluster::new().await;
    let lost = Duration::from_millis(6_300);
    let left = cluster.store.campaign(Seat::Controller, "gone", lost).await.unwrap();
    assert!(matches!(left, Campaign::Won(_)));
    let controller = cluster.control("a");
    cluster.deploy().await;
    let began = cluster.clock.now();
    cluster.until_healthy(1).await;
    let took = cluster.clock.now().since(began);
    assert!(took >= lost && took < lost + Duration::from_secs(2), "{took:?}");
    controller.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_cluster_is_left_in_peace() {
    let mut cluster = Cluster::new().await;
    let controller = cluster.control("a");
    cluster.deploy().await;
    cluster.until_healthy(1).await;
    cluster.live(50).await;
    let before = cluster.snapshot().await.revision;
    cluster.live(600).await;
    assert_eq!(cluster.snapshot().await.revision, before);
    controller.end().await;
}
