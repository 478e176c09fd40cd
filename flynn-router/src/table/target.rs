use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use flynn_core::name::{AppName, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{AppId, JobId};
use tokio::sync::Notify;

use crate::proxy::{Conduct, IdleConnections, Lanes, RetryBudget};

/// What a target is known by: a process type of an app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    /// The app.
    pub app: AppId,
    /// The process type.
    pub process: ProcessName,
}

/// What requests of one or many routes go to. All routes of a process type share one target, so that a change
/// of its instances is one write, however many routes there are.
#[derive(Debug)]
pub struct Target {
    key: TargetKey,
    state: ArcSwap<TargetState>,
    pub(crate) retries: RetryBudget,
}

/// A target at one moment.
#[derive(Debug, Clone)]
pub struct TargetState {
    /// The name of the app, for logs.
    pub name: AppName,
    /// Whether requests are passed on or answered with the maintenance page.
    pub traffic: Traffic,
    /// The instances that take requests.
    pub backends: Vec<Arc<Backend>>,
}

impl Target {
    /// A target in this state.
    pub fn new(key: TargetKey, state: TargetState) -> Self {
        Self { key, state: ArcSwap::from_pointee(state), retries: RetryBudget::default() }
    }

    /// Process type and app.
    pub fn key(&self) -> &TargetKey {
        &self.key
    }

    /// What it is at this moment.
    pub fn state(&self) -> Arc<TargetState> {
        self.state.load_full()
    }

    /// Replaces its state. Instances that are no longer in it are retired.
    pub fn replace(&self, state: TargetState) {
        let old = self.state.swap(Arc::new(state));
        let current = self.state.load();
        for backend in &old.backends {
            if !current.backends.iter().any(|kept| Arc::ptr_eq(kept, backend)) {
                backend.retire();
            }
        }
    }

    pub(super) fn retire(&self) {
        self.state.load().backends.iter().for_each(|backend| backend.retire());
    }
}

/// One instance that takes requests.
pub struct Backend {
    job: JobId,
    address: SocketAddr,
    in_flight: AtomicUsize,
    /// Those in flight that are no tunnels.
    answering: AtomicUsize,
    calm: Notify,
    retired: AtomicBool,
    pub(crate) conduct: Conduct,
    pub(crate) idle: IdleConnections,
    pub(crate) lanes: Lanes,
}

impl Backend {
    /// The instance `job`, which listens on `address`. It counts as fresh.
    pub fn new(job: JobId, address: SocketAddr) -> Self {
        Self {
            job,
            address,
            in_flight: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            calm: Notify::new(),
            retired: AtomicBool::new(false),
            conduct: Conduct::default(),
            idle: IdleConnections::default(),
            lanes: Lanes::default(),
        }
    }

    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests and tunnels it has at this moment.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one more request for as long as the returned value lives.
    pub(crate) fn engage(self: &Arc<Self>) -> Engaged {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.answering.fetch_add(1, Ordering::SeqCst);
        Engaged { backend: self.clone(), is_tunnel: false }
    }

    /// Waits until every request is answered that it has. Tunnels are not waited for.
    pub(crate) async fn answered(&self) {
        loop {
            let calm = self.calm.notified();
            tokio::pin!(calm);
            calm.as_mut().enable();
            if self.answering.load(Ordering::SeqCst) == 0 {
                return;
            }
            calm.await;
        }
    }

    fn one_is_answered(&self) {
        if self.answering.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.calm.notify_waiters();
        }
    }

    /// Whether it was taken out of its target: running requests end, connections are not kept.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.idle.clear();
        self.lanes.clear();
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({} at {}, {} in flight)", self.job, self.address, self.in_flight())
    }
}

/// One request that a backend has.
#[derive(Debug)]
pub(crate) struct Engaged {
    backend: Arc<Backend>,
    is_tunnel: bool,
}

impl Engaged {
    /// The request was answered by an upgrade.
    pub(crate) fn become_tunnel(&mut self) {
        if !std::mem::replace(&mut self.is_tunnel, true) {
            self.backend.one_is_answered();
        }
    }
}

impl Drop for Engaged {
    fn drop(&mut self) {
        self.become_tunnel();
        self.backend.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::{Ids, Timestamp};
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn requests_are_waited_for_and_tunnels_are_not() {
        let id = Ids::seeded(1).next(Timestamp::EPOCH);
        let backend = Arc::new(Backend::new(id, ([127, 0, 0, 1], 1).into()));
        let (request, mut upgraded) = (backend.engage(), backend.engage());
        let answered = backend.answered();
        tokio::pin!(answered);
        assert!(answered.as_mut().now_or_never().is_none());
        upgraded.become_tunnel();
        assert!(answered.as_mut().now_or_never().is_none());
        drop(request);
        answered.await;
        assert_eq!(backend.in_flight(), 1);
        drop(upgraded);
        backend.answered().await;
        assert_eq!(backend.in_flight(), 0);
    }
}
