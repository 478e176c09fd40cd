//! A durable store in one SQLite file, for one machine.
//!
//! The file is in WAL mode with `synchronous=FULL`, by which SQLite promises that what was acknowledged
//! survives the loss of power; our tests kill the process, not the power. One task owns the one connection
//! that writes; every transaction is immediate and runs to its end even if the caller has gone. Commits that wait at the same time share a transaction, and so its `fsync`. The
//! rules are judged in memory by the function that every store uses; SQLite keeps the outcome.
//!
//! No other process may open the file while a store has it open; a lock file beside it sees to that.

mod open;
mod read;
mod rows;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

pub use open::OpenError;
pub use writer::CommitStage;
use writer::{Answer, Request, Writer};

use crate::change::Batch;
use crate::election::{Campaign, Epoch, Seat};
use crate::error::{BoxError, StoreError};
use crate::feed::{CHUNK, EntrySource, Feed, tail};
use crate::port::{
    ArchiveQuery, Archived, AuditRecord, Committed, Cursor, Elections, EventLog, History, Page, Snapshot, Store, Tail,
    TailError,
};
use crate::retention::Retention;
use crate::revision::Revision;
use crate::scope::Scope;
use crate::state::Entry;
use crate::time::{Clock, SystemClock};

/// How a [`SqliteStore`] is opened.
#[derive(Clone)]
pub struct SqliteOptions {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    retention: Retention,
    on_stage: Option<writer::OnStage>,
}

impl std::fmt::Debug for SqliteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteOptions {
    /// A store in the file `path`, which is made if it is not there; its directory must be.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), clock: Arc::new(SystemClock), retention: Retention::default(), on_stage: None }
    }

    /// Goes by another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps another part of the past than the default.
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Calls `on_stage` whenever a transaction reaches one of its stages: to see where the time goes, or to
    /// die there in a test. The writer waits for it.
    #[must_use]
    pub fn on_stage(mut self, on_stage: impl Fn(CommitStage) + Send + Sync + 'static) -> Self {
        self.on_stage = Some(Arc::new(on_stage));
        self
    }
}

/// A durable [`Store`] in one SQLite file. Use it from the tokio runtime that opened it.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    feed: Feed,
    readers: SqlitePool,
}

/// Requests that may wait for the writer. Further callers wait for their turn to ask.
const QUEUE: usize = 256;

impl SqliteStore {
    /// Opens the store, bringing the file to the present schema if it is older.
    ///
    /// # Errors
    /// See [`OpenError`]. The file is left as it was, but for a migration that succeeded.
    pub async fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let opened = open::open(&options.path, &options.retention).await?;
        let feed = Feed::new(opened.state, memory_depth(&options.retention));
        let shared = Arc::new(Shared { feed, readers: opened.readers });
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(options, opened.writer, opened.lock, shared.clone());
        let writer = tokio::spawn(writer.run(queue));
        Ok(Self { shared, requests, writer: Mutex::new(Some(writer)) })
    }

    /// Finishes what was asked for so far, then closes the file. Later requests are `Unavailable`.
    pub async fn close(&self) {
        let _ = self.requests.send(Request::Close).await;
        if let Some(writer) = self.writer.lock().await.take() {
            let _ = writer.await;
        }
        self.shared.readers.close().await;
    }

    async fn ask<T>(&self, operation: &'static str, make: impl FnOnce(Answer<T>) -> Request) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(make(answer)).await.map_err(|_| closed(operation))?;
        answered.await.map_err(|_| closed(operation))?
    }
}

fn closed(operation: &'static str) -> StoreError {
    StoreError::Unavailable { operation, source: "the store is closed".into() }
}

/// How many commits stay in memory for readers that keep up; the others are read from the file.
fn memory_depth(retention: &Retention) -> usize {
    usize::try_from(retention.commits).unwrap_or(usize::MAX).min(1_024)
}

#[async_trait]
impl Store for SqliteStore {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        match self.shared.feed.is_closed() {
            true => Err(closed("snapshot")),
            false => Ok(self.shared.feed.snapshot(scope)),
        }
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.ask("commit", |answer| Request::Commit(Box::new(batch), answer)).await
    }
}

impl EventLog for SqliteStore {
    fn tail(&self, scope: Scope, after: Revision) -> Tail {
        tail(self.shared.clone(), scope, after)
    }
}

#[async_trait]
impl EntrySource for Shared {
    fn feed(&self) -> &Feed {
        &self.feed
    }

    async fn read(&self, after: Revision) -> Result<Vec<Arc<Entry>>, TailError> {
        if let Some(recent) = self.feed.recent(after, CHUNK) {
            return Ok(recent);
        }
        let head = *self.feed.head().borrow();
        read::entries(&self.readers, after, head).await.map_err(TailError::Unavailable)
    }
}

#[async_trait]
impl History for SqliteStore {
    async fn archived(&self, query: ArchiveQuery, cursor: Cursor, limit: usize) -> Result<Page<Archived>, StoreError> {
        read::archived(&self.shared.readers, query, cursor, limit).await.map_err(unavailable("read the history"))
    }

    async fn audit(&self, cursor: Cursor, limit: usize) -> Result<Page<AuditRecord>, StoreError> {
        read::audit(&self.shared.readers, cursor, limit).await.map_err(unavailable("read the audit record"))
    }
}

#[async_trait]
impl Elections for SqliteStore {
    async fn campaign(&self, seat: Seat, holder: &str, term: Duration) -> Result<Campaign, StoreError> {
        let holder = holder.to_owned();
        self.ask("campaign", |answer| Request::Campaign { seat, holder, term, answer }).await
    }

    async fn resign(&self, seat: Seat, epoch: Epoch) -> Result<(), StoreError> {
        self.ask("resign", |answer| Request::Resign { seat, epoch, answer }).await
    }
}

fn unavailable(operation: &'static str) -> impl Fn(BoxError) -> StoreError {
    move |source| StoreError::Unavailable { operation, source }
}
