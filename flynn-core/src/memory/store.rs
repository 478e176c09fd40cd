use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::archive::Archive;
use crate::change::Batch;
use crate::election::{Campaign, Epoch, Seat};
use crate::error::StoreError;
use crate::feed::{CHUNK, EntrySource, Feed, tail};
use crate::port::{
    ArchiveQuery, Archived, AuditRecord, Committed, Cursor, Elections, EventLog, History, Page, Snapshot, Store, Tail,
    TailError,
};
use crate::retention::Retention;
use crate::revision::Revision;
use crate::scope::Scope;
use crate::state::{Entry, State, campaign, judge, resign};
use crate::time::{Clock, SystemClock};

/// A store in memory. It keeps every rule of a durable one and forgets everything when it is dropped.
#[derive(Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    retention: Retention,
    feed: Feed,
    writer: Mutex<Archive>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), Retention::default())
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>, retention: Retention) -> Self {
        let depth = usize::try_from(retention.commits).unwrap_or(usize::MAX);
        let feed = Feed::new(State::default(), depth);
        Self { shared: Arc::new(Shared { clock, retention, feed, writer: Mutex::default() }) }
    }

    /// Only one caller at a time gets the archive, and with it the right to publish.
    fn writer(&self) -> MutexGuard<'_, Archive> {
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        Ok(self.shared.feed.snapshot(scope))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        let mut archive = self.writer();
        let Shared { clock, retention, feed, .. } = &*self.shared;
        let verdict = judge(&feed.state(), &batch, retention, clock.now())?;
        if let Some(entry) = &verdict.entry {
            archive.file(entry, retention);
        }
        feed.publish(verdict.state, verdict.entry);
        Ok(verdict.committed)
    }
}

impl EventLog for MemoryStore {
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
        self.feed.recent(after, CHUNK).ok_or(TailError::Compacted { after })
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn archived(&self, query: ArchiveQuery, cursor: Cursor, limit: usize) -> Result<Page<Archived>, StoreError> {
        Ok(self.writer().archived(query, cursor, limit))
    }

    async fn audit(&self, cursor: Cursor, limit: usize) -> Result<Page<AuditRecord>, StoreError> {
        Ok(self.writer().audit(cursor, limit))
    }
}

#[async_trait]
impl Elections for MemoryStore {
    async fn campaign(&self, seat: Seat, holder: &str, term: Duration) -> Result<Campaign, StoreError> {
        let _writer = self.writer();
        let Shared { clock, feed, .. } = &*self.shared;
        let mut state = feed.state();
        let outcome = campaign(&mut state, seat, holder, term, clock.now())?;
        feed.publish(state, None);
        Ok(outcome)
    }

    async fn resign(&self, seat: Seat, epoch: Epoch) -> Result<(), StoreError> {
        let _writer = self.writer();
        let Shared { clock, feed, .. } = &*self.shared;
        let mut state = feed.state();
        if resign(&mut state, seat, epoch, clock.now()) {
            feed.publish(state, None);
        }
        Ok(())
    }
}
