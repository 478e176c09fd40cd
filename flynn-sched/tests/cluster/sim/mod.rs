//! A cluster on virtual time: the real pass and the real rules of the store, with simulated nodes and routers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a simulation reports by panicking")]

mod agents;
mod build_up;
mod invariants;
pub(crate) mod seeds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::conformance::ManualClock;
use flynn_core::election::{Campaign, Epoch, Seat};
use flynn_core::name::ProcessName;
use flynn_core::noun::{
    App, Deployment, Formation, Health, Job, JobState, NodeId, Noun, Purpose, ReleaseId, RouterId, Stored,
};
use flynn_core::port::{Elections, Member, Seen, Snapshot, Store};
use flynn_core::{AppId, Batch, Change, Clock, Ids, MemoryStore, Principal, Retention, Scope, StoreError, TeamId};
use flynn_core::{Conflict, Id, Timestamp};
use flynn_sched::{Observed, Plan, Policy, pass};

pub(crate) use agents::{Agent, Behaviour, RouterMode, is_release_command};
pub(crate) use build_up::room_for;
use invariants::Watcher;

pub(crate) struct Sim {
    runtime: tokio::runtime::Runtime,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) policy: Policy,
    pub(crate) ids: Ids,
    epoch: Epoch,
    pub(crate) team: TeamId,
    pub(crate) app: AppId,
    pub(crate) nodes: BTreeMap<NodeId, Agent>,
    pub(crate) routers: BTreeMap<RouterId, RouterMode>,
    pub(crate) behaviours: BTreeMap<ReleaseId, Behaviour>,
    seen: BTreeMap<Member, Seen>,
    observed: Observed,
    watcher: Watcher,
    random: u64,
    /// Whether each pass is made by another controller.
    pub(crate) restarts: bool,
    /// How often, of 16 times, agents act between a pass and its commit.
    pub(crate) races: u64,
}

pub(crate) const TICK: Duration = Duration::from_millis(500);

impl Sim {
    /// A cluster of `nodes` nodes with 4 cores and 4 GiB each and `routers` routers, and an app.
    pub(crate) fn new(seed: u64, nodes: usize, routers: usize) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let store = Arc::new(MemoryStore::new(clock.clone(), Retention::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut ids = Ids::seeded(seed);
        let now = clock.now();
        let mut sim = Self {
            runtime,
            store,
            policy: Policy { seed, ..Policy::default() },
            epoch: Epoch(0),
            team: ids.next(now),
            app: ids.next(now),
            ids,
            nodes: BTreeMap::new(),
            routers: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            seen: BTreeMap::new(),
            observed: Observed::new(now),
            watcher: Watcher::default(),
            random: seed,
            restarts: false,
            races: 0,
            clock,
        };
        sim.take_seat();
        sim.populate(nodes, routers);
        sim
    }

    fn take_seat(&mut self) {
        let campaign = self.store.campaign(Seat::Controller, "sim", Duration::from_secs(1_000_000));
        let Campaign::Won(lease) = self.runtime.block_on(campaign).unwrap() else {
            panic!("somebody else has the seat");
        };
        self.epoch = lease.epoch;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A number below `bound`.
    pub(crate) fn draw(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    pub(crate) fn id<N>(&mut self) -> Id<N> {
        self.ids.next(self.clock.now())
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.runtime.block_on(self.store.snapshot(Scope::All)).unwrap()
    }

    pub(crate) fn get<N: Noun>(&self, id: Id<N>) -> Option<Arc<Stored<N>>> {
        self.snapshot().objects.get(id).cloned()
    }

    /// Commits as anybody but the controller, which must succeed.
    pub(crate) fn commit(&mut self, principal: Principal, changes: impl IntoIterator<Item = Change>) {
        let batch = Batch { changes: changes.into_iter().collect(), ..Batch::new(principal) };
        self.try_commit(batch).unwrap();
    }

    fn try_commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.runtime.block_on(self.store.commit(batch)).map(drop)?;
        let snapshot = self.snapshot();
        let now = self.now();
        self.watcher.check(&snapshot, &self.seen, now, &self.policy);
        Ok(())
    }

    /// Time passes, nodes and routers act, and the controller makes a pass.
    pub(crate) fn tick(&mut self) -> Plan {
        self.clock.advance(TICK);
        self.act();
        self.control()
    }

    pub(crate) fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.tick();
        }
    }

    /// What the controller plans at this moment. Planning twice must give the same.
    pub(crate) fn plan(&mut self) -> Plan {
        if self.restarts {
            self.observed = Observed { watching_since: self.observed.watching_since, ..Observed::default() };
        }
        let (snapshot, now) = (self.snapshot(), self.now());
        self.observed.see(self.seen.values().cloned());
        self.observed.marks.note(snapshot.revision, now, self.policy.drain);
        let mut again = self.ids.clone();
        let plan = pass(&snapshot, &self.observed, now, &mut self.ids, &self.policy);
        let repeated = pass(&snapshot, &self.observed, now, &mut again, &self.policy);
        assert_eq!(plan, repeated, "the pass is not a function of its arguments");
        assert!(plan.drafts().all(|draft| draft.changes.len() <= flynn_core::change::MOST_CHANGES));
        assert!(plan.again.is_none_or(|again| again > now), "the plan wants to be made again at once");
        plan
    }

    /// Makes a pass and commits it, perhaps only in part.
    pub(crate) fn control(&mut self) -> Plan {
        let plan = self.plan();
        let is_raced = self.draw(16) < self.races;
        if is_raced {
            self.act();
        }
        let drafts: Vec<_> = plan.drafts().cloned().collect();
        for draft in drafts {
            match self.try_commit(draft.sign(Principal::Controller(self.epoch))) {
                Ok(()) => {}
                Err(StoreError::Conflict { conflict: Conflict::DoesNotFit { id, node, misfit }, .. }) => {
                    panic!("planned on what is too small: {id} on {node}: {misfit}")
                }
                Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) if is_raced => return plan,
                Err(error) => {
                    panic!("a plan was refused: {error}: {:?}\n{draft:#?}", std::error::Error::source(&error))
                }
            }
        }
        plan
    }

    /// Ticks until nothing happens any more, at most for an hour of virtual time.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..7_200 {
            let before = self.snapshot().revision;
            let plan = self.tick();
            let is_quiet = plan.is_empty() && self.snapshot().revision == before && !self.waits_for_restart();
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet > 24 {
                assert!(self.plan().is_empty() && self.plan().is_empty());
                return;
            }
        }
        panic!("it does not settle:\n{}", self.describe());
    }

    /// Ticks until `done` holds, at most `limit` of virtual time.
    pub(crate) fn until(&mut self, limit: Duration, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.now() + limit;
        while !done(self) {
            assert!(self.now() < end, "not within {limit:?}: {what}\n{}", self.describe());
            self.tick();
        }
    }

    fn waits_for_restart(&self) -> bool {
        let now = self.now();
        self.snapshot().objects.iter::<Job>().any(|job| job.spec.not_before > now)
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn jobs(&self) -> Vec<Arc<Stored<Job>>> {
        self.snapshot().objects.iter::<Job>().cloned().collect()
    }

    pub(crate) fn deployments(&self) -> Vec<Arc<Stored<Deployment>>> {
        let mut all: Vec<_> = self.snapshot().objects.iter::<Deployment>().cloned().collect();
        all.sort_by_key(|deployment| (deployment.created_at, deployment.id));
        all
    }

    pub(crate) fn serving(&self) -> Option<ReleaseId> {
        self.get::<App>(self.app).and_then(|app| app.status.release)
    }

    pub(crate) fn formation(&self) -> Option<Arc<Stored<Formation>>> {
        let app = self.app;
        self.snapshot().objects.iter::<Formation>().find(|formation| formation.spec.app == app).cloned()
    }

    /// The healthy service jobs of a process type that are meant to run: release and number.
    pub(crate) fn healthy(&self, process: &str) -> Vec<(ReleaseId, u32)> {
        let is_healthy = |job: &&Arc<Stored<Job>>| {
            matches!(job.status.state, JobState::Up { health: Health::Healthy, .. })
                && job.spec.desired == flynn_core::noun::Desired::Up
        };
        let jobs = self.jobs();
        let mut found: Vec<_> = jobs
            .iter()
            .filter(is_healthy)
            .filter_map(|job| match &job.spec.purpose {
                Purpose::Service { process: own, instance, .. } if own.as_str() == process => {
                    Some((job.spec.release, *instance))
                }
                _ => None,
            })
            .collect();
        found.sort();
        found
    }

    /// All service jobs: release and process type.
    pub(crate) fn services(&self) -> Vec<(ReleaseId, String)> {
        let jobs = self.jobs();
        let services = jobs.iter().filter_map(|job| match &job.spec.purpose {
            Purpose::Service { process, .. } => Some((job.spec.release, process.to_string())),
            Purpose::OneOff { .. } => None,
        });
        services.collect()
    }

    /// Another controller takes over.
    pub(crate) fn restart(&mut self) {
        self.observed = Observed::new(self.now());
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = format!("at {:?}\n", self.now());
        for deployment in self.deployments() {
            text += &format!("  deployment {:?} {:?}\n", deployment.spec.desired, deployment.status);
        }
        for job in self.jobs() {
            text += &format!(
                "  {:?} {:?} attempt {} not before {:?} {:?} since {:?}\n",
                job.spec.purpose,
                job.spec.desired,
                job.spec.attempt,
                job.spec.not_before,
                job.status.state,
                job.status.since
            );
        }
        text
    }
}

pub(crate) fn process(name: &str) -> ProcessName {
    ProcessName::new(name).unwrap()
}
