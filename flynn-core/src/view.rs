//! A replica of a scope in memory, kept up to date by its follower.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::port::{Commit, Event, EventLog, Snapshot, Store, TailError};
use crate::revision::Revision;
use crate::scope::Scope;

/// The live objects of a scope, as of some recent revision. Cloning shares it.
///
/// ```
/// use std::sync::Arc;
/// use flynn_core::{Batch, Change, Ids, MemoryStore, Principal, Scope, Timestamp, View};
/// use flynn_core::{name::TeamName, noun::Team, port::Store, TeamId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::default());
/// let (view, follower) = View::open(store.clone(), Scope::All).await?;
/// let follower = tokio::spawn(follower.run());
///
/// let team = Team { name: TeamName::new("red")? };
/// let id: TeamId = Ids::from_entropy().next(Timestamp::EPOCH);
/// let batch = Batch::new(Principal::System).with(Change::create(id, TeamId::SYSTEM, team));
/// let committed = store.commit(batch).await?;
///
/// let seen = view.wait_for(committed.revision).await?;
/// assert!(seen.objects.get(id).is_some());
/// # follower.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct View {
    snapshot: Arc<RwLock<Snapshot>>,
    revision: watch::Receiver<Revision>,
}

/// The follower of a view is gone, so the view will never change again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("view: its follower has ended")]
#[non_exhaustive]
pub struct ViewClosed;

impl View {
    /// A view of `scope`, as of this moment, and the follower that keeps it up to date.
    ///
    /// # Errors
    /// Those of [`Store::snapshot`].
    pub async fn open<S>(store: Arc<S>, scope: Scope) -> Result<(Self, Follower<S>), StoreError>
    where
        S: Store + EventLog + ?Sized,
    {
        let first = store.snapshot(scope).await?;
        let sender = watch::Sender::new(first.revision);
        let revision = sender.subscribe();
        let snapshot = Arc::new(RwLock::new(first));
        let follower = Follower { store, scope, snapshot: snapshot.clone(), revision: sender };
        Ok((Self { snapshot, revision }, follower))
    }

    /// What it holds at this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes whenever the view has changed, and closes when its follower has ended.
    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.revision.clone()
    }

    /// Waits until the view includes `revision`: whoever wrote it reads its own write.
    ///
    /// # Errors
    /// The follower has ended first.
    pub async fn wait_for(&self, revision: Revision) -> Result<Snapshot, ViewClosed> {
        let mut changes = self.changes();
        changes.wait_for(|current| *current >= revision).await.map_err(|_| ViewClosed)?;
        Ok(self.snapshot())
    }

    /// Waits until `look` finds something in what the view holds.
    ///
    /// # Errors
    /// The follower has ended first.
    pub async fn until<T>(&self, mut look: impl FnMut(&Snapshot) -> Option<T>) -> Result<T, ViewClosed> {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look(&self.snapshot()) {
                return Ok(found);
            }
            changes.changed().await.map_err(|_| ViewClosed)?;
        }
    }
}

/// Keeps a [`View`] up to date. It does so only while its owner drives [`run`](Self::run).
#[derive(Debug)]
pub struct Follower<S: ?Sized> {
    store: Arc<S>,
    scope: Scope,
    snapshot: Arc<RwLock<Snapshot>>,
    revision: watch::Sender<Revision>,
}

/// The first wait before an unavailable store is asked again; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl<S: Store + EventLog + ?Sized> Follower<S> {
    /// Follows the store until reading is no longer allowed. An unavailable store is asked again, and the
    /// view keeps what it has. It can be dropped at any time.
    pub async fn run(self) -> TailError {
        let mut wait = FIRST_WAIT;
        loop {
            let position = *self.revision.borrow();
            let mut tail = self.store.tail(self.scope, position);
            while let Some(next) = tail.next().await {
                match next {
                    Ok(commit) => {
                        wait = FIRST_WAIT;
                        self.apply(commit);
                    }
                    Err(error @ TailError::NotAllowed(_)) => return error,
                    Err(TailError::Compacted { .. }) => match self.store.snapshot(self.scope).await {
                        Ok(snapshot) => self.replace(snapshot),
                        Err(StoreError::NotAllowed { denial, .. }) => return TailError::NotAllowed(denial),
                        Err(error) => tracing::warn!(%error, "view: no snapshot, trying again"),
                    },
                    Err(error) => tracing::warn!(%error, "view: the tail broke, trying again"),
                }
            }
            tokio::time::sleep(wait).await;
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }

    fn apply(&self, commit: Commit) {
        {
            let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
            for event in commit.events {
                match event {
                    Event::Put(object) => drop(snapshot.objects.insert(object)),
                    Event::Removed(id) => drop(snapshot.objects.remove(id)),
                }
            }
            snapshot.revision = commit.revision;
            snapshot.at = commit.at;
        }
        self.revision.send_replace(commit.revision);
    }

    fn replace(&self, fresh: Snapshot) {
        let revision = fresh.revision;
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.revision.send_replace(revision);
    }
}
