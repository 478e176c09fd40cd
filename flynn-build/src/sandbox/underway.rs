//! The sandboxes that this process is at work on, also if whoever asked for that has gone away.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flynn_core::{BoxError, BuildId, JobId};
use tokio::sync::OwnedMutexGuard;

#[derive(Debug)]
struct Sandbox {
    build: BuildId,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Underway(Arc<Mutex<BTreeMap<JobId, Sandbox>>>);

impl Underway {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Sandbox>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, sandbox: JobId, build: BuildId) {
        self.lock().insert(sandbox, Sandbox { build, turn: Arc::default() });
    }

    pub(super) fn remove(&self, sandbox: JobId) {
        self.lock().remove(&sandbox);
    }

    pub(super) fn all(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn of(&self, build: BuildId) -> Vec<JobId> {
        self.lock().iter().filter(|(_, sandbox)| sandbox.build == build).map(|(id, _)| *id).collect()
    }

    /// Waits until nothing is done to a sandbox, and keeps it so for as long as the result lives. None if it is not
    /// under way.
    pub(super) async fn turn(&self, sandbox: JobId) -> Option<OwnedMutexGuard<()>> {
        let turn = self.lock().get(&sandbox).map(|sandbox| Arc::clone(&sandbox.turn))?;
        Some(turn.lock_owned().await)
    }

    /// Carries `work` on a sandbox to its end even if the result is dropped; who has the next turn waits for that.
    pub(super) async fn to_its_end<T: Send + 'static>(
        &self,
        sandbox: JobId,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, BoxError> {
        let turn = self.turn(sandbox).await;
        let work = async move {
            let _turn = turn;
            work.await
        };
        Ok(tokio::spawn(work).await?)
    }
}
