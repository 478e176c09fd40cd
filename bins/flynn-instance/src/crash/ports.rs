use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::disk::{DiskUse, Space};
use flynn_core::election::{Campaign, Epoch, Seat};
use flynn_core::noun::{Job, Stored};
use flynn_core::port::{
    ArchiveQuery, Archived, AuditRecord, Beat, Blob, BlobError, BlobReader, Blobs, Committed, Container, ContainerSpec,
    Cursor, Elections, EventLog, Exec, ExecRequest, History, Member, Page, Presence, Process, Runtime, RuntimeError,
    Seen, Session, Signal, Snapshot, Store, Tail, Wakes,
};
use flynn_core::value::Digest;
use flynn_core::{Batch, JobId, Revision, Scope, StoreError, Timestamp};
use flynn_runtime::agent::pass::Kept;
use flynn_runtime::agent::{Workplace, WorkplaceError};
use futures::StreamExt;

use super::{CrashPoint, CrashPoints, Effect};

/// The implementation of a port, with a point to die at before and after each of its effects.
#[derive(Debug)]
pub struct Watched<T: ?Sized> {
    points: CrashPoints,
    inner: Arc<T>,
}

impl<T: ?Sized> Watched<T> {
    /// `inner`, watched.
    pub fn new(inner: Arc<T>, points: &CrashPoints) -> Self {
        Self { points: points.clone(), inner }
    }

    /// What is watched.
    pub fn inner(&self) -> &T {
        &self.inner
    }
}

impl CrashPoints {
    async fn around<T, E>(&self, effect: Effect, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.reach(CrashPoint::Before(effect));
        let done = work.await?;
        self.reach(CrashPoint::After(effect));
        Ok(done)
    }
}

#[async_trait]
impl<S: Store + ?Sized> Store for Watched<S> {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        self.inner.snapshot(scope).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        if !self.points.are_watched() {
            return self.inner.commit(batch).await;
        }
        let effects: Vec<_> = Effect::of(&batch).collect();
        effects.iter().for_each(|effect| self.points.reach(CrashPoint::Before(*effect)));
        let committed = self.inner.commit(batch).await?;
        effects.iter().for_each(|effect| self.points.reach(CrashPoint::After(*effect)));
        Ok(committed)
    }
}

impl<S: EventLog + ?Sized> EventLog for Watched<S> {
    fn tail(&self, scope: Scope, after: Revision) -> Tail {
        let tail = self.inner.tail(scope, after);
        if !self.points.are_watched() {
            return tail;
        }
        let points = self.points.clone();
        let look = move |commit: &Result<flynn_core::port::Commit, _>| {
            if commit.as_ref().is_ok_and(|commit| !commit.events.is_empty()) {
                points.reach(CrashPoint::Before(Effect::ChangeTaken));
            }
        };
        tail.inspect(look).boxed()
    }
}

#[async_trait]
impl<S: Elections + ?Sized> Elections for Watched<S> {
    async fn campaign(&self, seat: Seat, holder: &str, term: Duration) -> Result<Campaign, StoreError> {
        self.inner.campaign(seat, holder, term).await
    }

    async fn resign(&self, seat: Seat, epoch: Epoch) -> Result<(), StoreError> {
        self.inner.resign(seat, epoch).await
    }
}

#[async_trait]
impl<S: History + ?Sized> History for Watched<S> {
    async fn archived(&self, query: ArchiveQuery, cursor: Cursor, limit: usize) -> Result<Page<Archived>, StoreError> {
        self.inner.archived(query, cursor, limit).await
    }

    async fn audit(&self, cursor: Cursor, limit: usize) -> Result<Page<AuditRecord>, StoreError> {
        self.inner.audit(cursor, limit).await
    }
}

#[async_trait]
impl<P: Presence + ?Sized> Presence for Watched<P> {
    async fn beat(&self, member: Member, beat: Beat, lease: Duration) -> Result<(), StoreError> {
        self.points.around(Effect::Acknowledge, self.inner.beat(member, beat, lease)).await
    }

    async fn seen(&self) -> Result<Vec<Seen>, StoreError> {
        self.inner.seen().await
    }
}

#[async_trait]
impl<B: Blobs + ?Sized> Blobs for Watched<B> {
    async fn put(&self, content: BlobReader, expected: Option<Digest>) -> Result<Blob, BlobError> {
        self.points.around(Effect::BlobPut, self.inner.put(content, expected)).await
    }

    async fn open(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        self.inner.open(digest).await
    }

    async fn stat(&self, digest: Digest) -> Result<Option<Blob>, BlobError> {
        self.inner.stat(digest).await
    }

    async fn remove(&self, digest: Digest, put_before: Timestamp) -> Result<(), BlobError> {
        self.inner.remove(digest, put_before).await
    }

    async fn list(&self, after: Option<Digest>, limit: usize) -> Result<Vec<Blob>, BlobError> {
        self.inner.list(after, limit).await
    }
}

#[async_trait]
impl<W: Workplace + ?Sized> Workplace for Watched<W> {
    async fn prepare(&self, job: &Stored<Job>) -> Result<ContainerSpec, WorkplaceError> {
        self.points.around(Effect::WorkplacePrepare, self.inner.prepare(job)).await
    }

    async fn process(&self, job: &Stored<Job>, request: &ExecRequest) -> Result<Process, WorkplaceError> {
        self.inner.process(job, request).await
    }

    async fn release(&self, job: JobId) -> Result<(), WorkplaceError> {
        self.points.around(Effect::WorkplaceRelease, self.inner.release(job)).await
    }

    async fn written(&self, job: JobId) -> Result<Option<DiskUse>, WorkplaceError> {
        self.inner.written(job).await
    }

    async fn space(&self) -> Result<Option<Space>, WorkplaceError> {
        self.inner.space().await
    }

    async fn list(&self) -> Result<BTreeMap<JobId, Kept>, WorkplaceError> {
        self.inner.list().await
    }
}

/// A runtime with a point to die at before and after each of its effects.
#[derive(Debug)]
pub struct WatchedRuntime<R> {
    points: CrashPoints,
    inner: Arc<R>,
    create: Effect,
    start: Effect,
    remove: Effect,
}

impl<R> WatchedRuntime<R> {
    /// The runtime of jobs.
    pub fn of_jobs(inner: Arc<R>, points: &CrashPoints) -> Self {
        let (create, start, remove) = (Effect::ContainerCreate, Effect::ContainerStart, Effect::ContainerRemove);
        Self { points: points.clone(), inner, create, start, remove }
    }

    /// The runtime of builds.
    pub fn of_builds(inner: Arc<R>, points: &CrashPoints) -> Self {
        let (create, start, remove) = (Effect::SandboxCreate, Effect::SandboxStart, Effect::SandboxRemove);
        Self { points: points.clone(), inner, create, start, remove }
    }
}

#[async_trait]
impl<R: Runtime> Runtime for WatchedRuntime<R> {
    async fn create(&self, job: JobId, spec: ContainerSpec) -> Result<(), RuntimeError> {
        self.points.around(self.create, self.inner.create(job, spec)).await
    }

    async fn start(&self, job: JobId) -> Result<(), RuntimeError> {
        self.points.around(self.start, self.inner.start(job)).await
    }

    async fn signal(&self, job: JobId, signal: Signal) -> Result<(), RuntimeError> {
        self.points.around(Effect::ContainerSignal, self.inner.signal(job, signal)).await
    }

    async fn remove(&self, job: JobId) -> Result<(), RuntimeError> {
        self.points.around(self.remove, self.inner.remove(job)).await
    }

    async fn list(&self) -> Result<Vec<Container>, RuntimeError> {
        self.inner.list().await
    }

    fn exits(&self) -> Wakes {
        self.inner.exits()
    }
}

#[async_trait]
impl<R: Exec + Send + Sync> Exec for WatchedRuntime<R> {
    async fn exec(&self, job: JobId, process: Process) -> Result<Session, RuntimeError> {
        self.inner.exec(job, process).await
    }

    async fn attach(&self, job: JobId) -> Result<Session, RuntimeError> {
        self.inner.attach(job).await
    }
}
