use std::sync::Arc;
use std::time::Duration;

use flynn_core::noun::{Build, BuildIntent, BuildState, BuildStatus, Stored};
use flynn_core::port::{EventLog, Store};
use flynn_core::{Batch, BuildId, Change, Principal, StoreError, View};
use tokio::sync::watch;

use super::WorkerParts;
use super::report::{chain, failed, state};
use crate::builder::{Artifact, BuildError, BuildLog, BuildRequest};

/// The waits before a build is tried again that failed for a reason of the node.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// The first wait before an unavailable store is told again; it doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(5);
/// What was refused is not tried again at once.
const REFUSED: Duration = Duration::from_secs(5);

/// One build, from taking it up to its report.
pub(super) struct Work<'a, S> {
    pub(super) parts: &'a WorkerParts<S>,
    pub(super) view: &'a View,
    pub(super) build: Arc<Stored<Build>>,
    pub(super) stop: watch::Receiver<bool>,
}

impl<S: Store + EventLog> Work<'_, S> {
    /// Carries the build to its end, and says which it was.
    pub(super) async fn carry(self) -> BuildId {
        let id = self.build.id;
        if let Err(error) = self.carry_on().await {
            tracing::warn!(build = %id, error = %chain(&error), "the store does not take a report of a build");
            tokio::time::sleep(REFUSED).await;
        }
        id
    }

    async fn carry_on(&self) -> Result<(), StoreError> {
        let is_fresh = self.build.status.state == BuildState::Assigned;
        if is_fresh && !*self.stop.borrow() {
            self.report(BuildState::Running).await?;
        }
        let mut stop = self.stop.clone();
        let outcome = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            outcome = self.build() => Some(outcome),
        };
        let log = BuildLog::new(self.build.id, &*self.parts.log, &*self.parts.clock);
        let Some(outcome) = outcome else {
            self.clear().await;
            // Without that intent it is not this node's any more, or has ended.
            let build = self.view.snapshot().objects.get(self.build.id).cloned();
            if build.is_some_and(|build| build.spec.desired == BuildIntent::Cancel && !build.status.state.is_end()) {
                log.say("Cancelled");
                self.report(BuildState::Cancelled).await?;
            }
            return Ok(());
        };
        if let Err(error) = &outcome {
            log.say(format_args!("Failed: {}", chain(error)));
        }
        let reported = match self.report(state(outcome)).await {
            Err(StoreError::Invalid { invalid, .. }) => {
                self.report(failed("report", &format!("what was built is not acceptable: {invalid}"))).await
            }
            reported => reported,
        };
        self.clear().await;
        reported
    }

    async fn build(&self) -> Result<Artifact, BuildError> {
        let Build { app, source, resources, .. } = self.build.spec;
        let node = self.view.snapshot().objects.get(self.parts.node).cloned();
        let reserve = node.map_or(0, |node| node.spec.reserved.disk_bytes);
        let request = BuildRequest { build: self.build.id, app, source, resources, reserve };
        let mut retries = RETRIES.into_iter();
        loop {
            let outcome = self.parts.builder.build(request.clone(), &*self.parts.log).await;
            let Err(error @ BuildError::Unavailable { .. }) = &outcome else {
                return outcome;
            };
            let Some(wait) = retries.next() else {
                return outcome;
            };
            tracing::warn!(build = %self.build.id, error = %chain(error), "the node could not build: trying again");
            self.clear().await;
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes away what the build left.
    async fn clear(&self) {
        if let Err(error) = self.parts.builder.clear(self.build.id).await {
            tracing::warn!(build = %self.build.id, error = %chain(&error), "what a build left could not be taken away");
        }
    }

    /// Tells the store, until it has heard, and waits until the view shows it.
    async fn report(&self, state: BuildState) -> Result<(), StoreError> {
        let status = BuildStatus { state, since: self.parts.clock.now() };
        let batch = Batch::new(Principal::Node(self.parts.node)).with(Change::report(self.build.id, status));
        let mut wait = FIRST_WAIT;
        loop {
            match self.parts.store.commit(batch.clone()).await {
                Ok(committed) => {
                    // If it never shows, the worker has ended.
                    let _closed = self.view.wait_for(committed.revision).await;
                    return Ok(());
                }
                Err(error @ (StoreError::Unavailable { .. } | StoreError::Internal { .. })) => {
                    tracing::warn!(build = %self.build.id, error = %chain(&error), "the store did not take a report");
                    tokio::time::sleep(wait).await;
                    wait = LAST_WAIT.min(wait * 2);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
