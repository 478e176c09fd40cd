//! What a store shows its readers: the last acknowledged state and the commits that led to it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use futures::stream;
use tokio::sync::watch;

use crate::noun::Objects;
use crate::port::{Commit, Event, Snapshot, Tail, TailError};
use crate::revision::Revision;
use crate::scope::Scope;
use crate::state::{Entry, State};

/// The published side of a store. The writer puts into it what has become durable, and nothing else.
#[derive(Debug)]
pub(crate) struct Feed {
    published: RwLock<Published>,
    head: watch::Sender<Revision>,
    closed: AtomicBool,
    /// How many commits are kept in memory.
    depth: usize,
}

#[derive(Debug)]
struct Published {
    state: State,
    recent: VecDeque<Arc<Entry>>,
}

impl Feed {
    pub(crate) fn new(state: State, depth: usize) -> Self {
        let head = watch::Sender::new(state.revision);
        let published = RwLock::new(Published { state, recent: VecDeque::new() });
        Self { published, head, closed: AtomicBool::new(false), depth }
    }

    pub(crate) fn publish(&self, state: State, entries: impl IntoIterator<Item = Arc<Entry>>) {
        let revision = state.revision;
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        published.state = state;
        for entry in entries {
            published.append(entry);
        }
        if published.recent.back().is_some_and(|last| last.revision != revision) {
            published.recent.clear();
        }
        let excess = published.recent.len().saturating_sub(self.depth);
        published.recent.drain(..excess);
        // Before anybody can see the entries: a reader that is ahead of the head takes itself for compacted.
        self.head.send_if_modified(|head| std::mem::replace(head, revision) != revision);
    }

    /// Nothing will be published any more: tails end, and readers are told.
    #[cfg(feature = "sqlite")]
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.head.send_modify(|_| {});
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> State {
        self.published.read().unwrap_or_else(PoisonError::into_inner).state.clone()
    }

    pub(crate) fn snapshot(&self, scope: Scope) -> Snapshot {
        let state = self.state();
        let objects = match scope {
            Scope::All => state.objects,
            _ => state.objects.all().filter_map(|object| scope.view(&object)).collect::<Objects>(),
        };
        Snapshot { revision: state.revision, at: state.time, objects }
    }

    pub(crate) fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    /// The commits after `after`, at most `limit`, if memory reaches that far back.
    pub(crate) fn recent(&self, after: Revision, limit: usize) -> Option<Vec<Arc<Entry>>> {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        if after >= published.state.revision {
            return Some(Vec::new());
        }
        let oldest = published.recent.front()?.revision;
        let skip = usize::try_from(after.next().get().checked_sub(oldest.get())?).ok()?;
        Some(published.recent.iter().skip(skip).take(limit).cloned().collect())
    }
}

impl Published {
    /// What is kept has no gaps: what does not join begins anew.
    fn append(&mut self, entry: Arc<Entry>) {
        if self.recent.back().is_some_and(|last| last.revision.next() != entry.revision) {
            self.recent.clear();
        }
        self.recent.push_back(entry);
    }
}

/// Where a tail reads commits from.
#[async_trait]
pub(crate) trait EntrySource: Send + Sync + 'static {
    fn feed(&self) -> &Feed;

    /// The next commits after `after`, at least one if there is one.
    async fn read(&self, after: Revision) -> Result<Vec<Arc<Entry>>, TailError>;
}

/// How many commits a tail takes at a time.
pub(crate) const CHUNK: usize = 256;

struct Reader<S> {
    source: Arc<S>,
    scope: Scope,
    position: Revision,
    head: watch::Receiver<Revision>,
    pending: VecDeque<Arc<Entry>>,
}

/// Follows `source`, see [`EventLog`](crate::port::EventLog).
pub(crate) fn tail<S: EntrySource>(source: Arc<S>, scope: Scope, after: Revision) -> Tail {
    let head = source.feed().head();
    let reader = Reader { source, scope, position: after, head, pending: VecDeque::new() };
    Box::pin(stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(commit) => Some((Ok(commit), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl<S: EntrySource> Reader<S> {
    async fn next(&mut self) -> Result<Commit, TailError> {
        loop {
            while let Some(entry) = self.pending.pop_front() {
                self.position = entry.revision;
                let commit = seen_by(self.scope, &entry);
                let is_last = entry.revision >= *self.head.borrow();
                if !commit.events.is_empty() || is_last {
                    return Ok(commit);
                }
            }
            self.refill().await?;
        }
    }

    async fn refill(&mut self) -> Result<(), TailError> {
        let head = *self.head.borrow_and_update();
        if head < self.position {
            return Err(TailError::Compacted { after: self.position });
        }
        if head == self.position {
            if self.source.feed().is_closed() || self.head.changed().await.is_err() {
                return Err(TailError::Unavailable("the store was closed".into()));
            }
            return Ok(());
        }
        let entries = self.source.read(self.position).await?;
        let expected = (self.position.get() + 1..).map(Revision::new);
        if entries.is_empty() || entries.iter().zip(expected).any(|(entry, expected)| entry.revision != expected) {
            return Err(TailError::Compacted { after: self.position });
        }
        self.pending = entries.into();
        Ok(())
    }
}

fn seen_by(scope: Scope, entry: &Entry) -> Commit {
    let events = entry.transitions.iter().filter_map(|transition| {
        match transition.is.as_ref().and_then(|object| scope.view(object)) {
            Some(object) => Some(Event::Put(object)),
            None => transition.was.filter(|was| scope.admits(was)).map(|_| Event::Removed(transition.id)),
        }
    });
    Commit { revision: entry.revision, at: entry.at, events: events.collect() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::rule::Principal;
    use crate::time::Timestamp;

    fn commit(feed: &Feed) {
        let mut state = feed.state();
        state.revision = state.revision.next();
        let entry = Entry {
            revision: state.revision,
            at: Timestamp::EPOCH,
            principal: Principal::System,
            transitions: Vec::new(),
        };
        feed.publish(state, [Arc::new(entry)]);
    }

    #[test]
    fn no_entry_is_seen_before_the_head_has_come_to_it() {
        let feed = Feed::new(State::default(), 10);
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                (0..50_000).for_each(|_| commit(&feed));
                done.store(true, Ordering::SeqCst);
            });
            while !done.load(Ordering::SeqCst) {
                let head = *feed.head().borrow();
                let last = feed.recent(head, CHUNK).and_then(|recent| recent.last().map(|entry| entry.revision));
                assert!(last.is_none_or(|last| last <= *feed.head().borrow()));
            }
        });
    }
}
