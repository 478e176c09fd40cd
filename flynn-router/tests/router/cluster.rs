//! A store with an app, and a follower that keeps a table after it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::conformance::{ManualClock, StoreHarness, World};
use flynn_core::name::{HostPattern, ProcessName};
use flynn_core::noun::{Desired, Entry, Health, Job, JobState, JobStatus, Route, RouteId, RouterId};
use flynn_core::port::{Committed, EventLog, Presence, Snapshot, Store, Tail, TailError};
use flynn_core::rule::Denial;
use flynn_core::{
    AppId, Batch, Change, Clock, JobId, MemoryPresence, MemoryStore, Retention, Revision, Scope, StoreError, Timestamp,
};
use flynn_router::follow::{FollowSettings, RouteFollower};
use flynn_router::table::ShardedTable;
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::rig::soon;

pub(crate) struct InMemory;

#[async_trait]
impl StoreHarness for InMemory {
    type Store = MemoryStore;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(clock, retention))
    }
}

/// A store that can be out of reach, or let nobody read.
#[derive(Debug)]
pub(crate) struct Remote {
    inner: Arc<MemoryStore>,
    pub(crate) away: AtomicBool,
    pub(crate) denies: Arc<AtomicBool>,
    /// How often it was asked while it was away.
    pub(crate) refused: AtomicUsize,
}

impl Remote {
    fn check(&self) -> Result<(), StoreError> {
        if self.denies.load(Ordering::SeqCst) {
            return Err(StoreError::NotAllowed { operation: "test", denial: Denial::UnknownToken });
        }
        match self.away.load(Ordering::SeqCst) {
            true => {
                self.refused.fetch_add(1, Ordering::SeqCst);
                Err(StoreError::Unavailable { operation: "test", source: "the store is away".into() })
            }
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Remote {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        self.check()?;
        self.inner.snapshot(scope).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.check()?;
        self.inner.commit(batch).await
    }
}

impl EventLog for Remote {
    fn tail(&self, scope: Scope, after: Revision) -> Tail {
        let denies = self.denies.clone();
        let tail = self.inner.tail(scope, after);
        let judge = move |next| {
            if denies.load(Ordering::SeqCst) { Err(TailError::NotAllowed(Denial::UnknownToken)) } else { next }
        };
        tail.map(judge).boxed()
    }
}

pub(crate) struct Cluster {
    pub(crate) world: World<MemoryStore>,
    pub(crate) remote: Arc<Remote>,
    pub(crate) presence: Arc<MemoryPresence>,
    pub(crate) router: RouterId,
    /// The time between two beats of its router.
    pub(crate) beat: Duration,
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        let world = World::new(&InMemory).await;
        let remote = Arc::new(Remote {
            inner: world.store.clone(),
            away: AtomicBool::new(false),
            denies: Arc::default(),
            refused: AtomicUsize::new(0),
        });
        let presence = Arc::new(MemoryPresence::new(world.clock.clone()));
        let router = world.id();
        Self { world, remote, presence, router, beat: Duration::from_millis(100) }
    }

    pub(crate) async fn route(&self, app: AppId, host: &str) -> RouteId {
        let id = self.world.id();
        let process = ProcessName::new("web").unwrap();
        let route = Route { app, process, entry: Entry::host(HostPattern::new(host).unwrap()) };
        self.world.commit([Change::create(id, self.world.team, route)]).await;
        id
    }

    /// Starts a job that is up at `address`.
    pub(crate) async fn start(&self, instance: u32, address: SocketAddr) -> JobId {
        let id = self.world.create_job(instance).await;
        self.world.place(id).await.unwrap();
        self.report(id, JobState::Up { address: Some(address), health: Health::Healthy }).await;
        id
    }

    pub(crate) async fn report(&self, id: JobId, state: JobState) -> Revision {
        self.world.commit([Change::report(id, JobStatus { state, since: Timestamp::EPOCH })]).await.revision
    }

    pub(crate) async fn desire(&self, id: JobId, desired: Desired) -> Revision {
        let job = self.world.get(id).await.unwrap();
        let spec = Job { desired, ..job.spec.clone() };
        self.world.commit([Change::update(id, spec)]).await.revision
    }

    pub(crate) async fn acknowledged(&self) -> Option<Revision> {
        self.presence.seen().await.unwrap().first().map(|seen| seen.beat.acknowledged)
    }

    /// Waits until the router has acknowledged `revision`.
    pub(crate) async fn acknowledges(&self, revision: Revision) {
        soon(async {
            while self.acknowledged().await < Some(revision) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    pub(crate) fn follow(&self, table: &Arc<ShardedTable>, file: Option<&Path>) -> Following {
        self.follow_by(table, file, self.world.clock.clone())
    }

    pub(crate) fn follow_by(
        &self,
        table: &Arc<ShardedTable>,
        file: Option<&Path>,
        clock: Arc<ManualClock>,
    ) -> Following {
        let mut settings = FollowSettings::new(self.router, "test");
        settings.beat = self.beat;
        settings.file = file.map(Into::into);
        let follower = RouteFollower::new(self.remote.clone(), self.presence.clone(), table.clone(), clock, settings);
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(follower.run(async { drop(stopped.await) }));
        Following { stop, run }
    }
}

pub(crate) struct Following {
    stop: oneshot::Sender<()>,
    run: JoinHandle<()>,
}

impl Following {
    pub(crate) async fn end(self) {
        let _ = self.stop.send(());
        soon(self.run).await.unwrap();
    }
}

impl Cluster {
    /// What the router says after `count` further beats.
    pub(crate) async fn presence_beats(&self, count: usize) -> Revision {
        let mut last = self.presence.seen().await.unwrap().remove(0);
        for _ in 0..count {
            // Every beat bears the time of the store, which is moved on for it.
            self.world.clock.advance(Duration::from_millis(1));
            last = soon(async {
                loop {
                    let seen = self.presence.seen().await.unwrap().remove(0);
                    if seen.at > last.at {
                        return seen;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        }
        last.beat.acknowledged
    }
}
