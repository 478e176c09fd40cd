//! The loop that builds what is placed on its node.

mod carry;
mod pass;
mod report;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flynn_core::noun::Build;
use flynn_core::port::{EventLog, LogSink, Store, TailError};
use flynn_core::{AppId, BuildId, Clock, NodeId, Scope, StoreError, View};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::builder::Builder;
use carry::Work;

pub use pass::{InHand, Todo, pass};

/// A look that no change asked for.
const POLL: Duration = Duration::from_secs(10);

/// What a [`Worker`] works with.
pub struct WorkerParts<S> {
    /// Where builds are read from and reported to.
    pub store: Arc<S>,
    /// The node whose builds these are.
    pub node: NodeId,
    /// What builds.
    pub builder: Arc<dyn Builder>,
    /// Where the builds' lines go.
    pub log: Arc<dyn LogSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many builds run at the same time, at least one.
    pub parallel: usize,
}

impl<S> fmt::Debug for WorkerParts<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerParts").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Builds what is placed on a node, and reports how that goes.
///
/// It follows the store and needs no other input. A build that was under way when a worker died is begun again by
/// the next one. Builds of one app are made one after the other.
pub struct Worker<S> {
    parts: WorkerParts<S>,
}

impl<S> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("node", &self.parts.node).finish_non_exhaustive()
    }
}

/// Why a worker ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It could not read the builds for a first time. Start it again later.
    #[error("start the build worker")]
    Start(#[source] StoreError),
    /// It may not follow the store any more.
    #[error("follow the builds of the node")]
    Follow(#[source] TailError),
}

impl<S: Store + EventLog + 'static> Worker<S> {
    /// A worker out of these parts.
    pub fn new(parts: WorkerParts<S>) -> Self {
        Self { parts }
    }

    /// Works until `stop` resolves. Builds under way are then given up, and begun again by the next worker.
    ///
    /// # Errors
    /// It could not start, or may not read any more. An unavailable store is waited for.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let scope = Scope::Node(self.parts.node);
        let (view, follower) = View::open(self.parts.store.clone(), scope).await.map_err(WorkerError::Start)?;
        self.clear().await;
        let ended = tokio::select! {
            () = stop => Ok(()),
            error = follower.run() => Err(WorkerError::Follow(error)),
            never = self.serve(&view) => match never {},
        };
        self.clear().await;
        ended
    }

    /// Takes away what builds that nobody carries on have left.
    async fn clear(&self) {
        if let Err(error) = self.parts.builder.clear_all().await {
            tracing::warn!(error = %report::chain(&error), "what is left of earlier builds could not be taken away");
        }
    }

    async fn serve(&self, view: &View) -> std::convert::Infallible {
        let hands = Hands::default();
        let mut work = FuturesUnordered::new();
        let mut changes = view.changes();
        loop {
            changes.mark_unchanged();
            let objects = view.snapshot().objects;
            let Todo { begin, stop, cancel } =
                pass(&objects, self.parts.node, &hands.as_seen(), self.parts.parallel.max(1));
            stop.iter().for_each(|build| hands.stop(*build));
            let begun = begin.iter().map(|build| (build, false)).chain(cancel.iter().map(|build| (build, true)));
            for (build, is_cancelled) in begun {
                if let Some(stored) = objects.get::<Build>(*build) {
                    let stop = hands.take(*build, stored.spec.app, is_cancelled);
                    work.push(Work { parts: &self.parts, view, build: stored.clone(), stop }.carry());
                }
            }
            tokio::select! {
                Some(build) = work.next() => hands.put_down(build),
                changed = changes.changed() => if changed.is_err() {
                    // The follower has ended, and with it this loop.
                    std::future::pending::<()>().await;
                },
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}

/// The builds that are carried on, each with what tells it to stop.
#[derive(Debug, Default)]
struct Hands(Mutex<BTreeMap<BuildId, (AppId, watch::Sender<bool>)>>);

impl Hands {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<BuildId, (AppId, watch::Sender<bool>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn as_seen(&self) -> BTreeMap<BuildId, InHand> {
        self.lock().iter().map(|(id, (app, stop))| (*id, InHand { app: *app, stopping: *stop.borrow() })).collect()
    }

    fn take(&self, build: BuildId, app: AppId, is_stopping: bool) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(is_stopping);
        self.lock().insert(build, (app, sender));
        receiver
    }

    fn stop(&self, build: BuildId) {
        if let Some((_, stop)) = self.lock().get(&build) {
            stop.send_replace(true);
        }
    }

    fn put_down(&self, build: BuildId) {
        self.lock().remove(&build);
    }
}
