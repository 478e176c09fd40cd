use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use flynn_core::name::{AppName, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{AppId, JobId};

use crate::proxy::IdleConnections;

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
        Self { key, state: ArcSwap::from_pointee(state) }
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
    retired: AtomicBool,
    pub(crate) idle: IdleConnections,
}

impl Backend {
    /// The instance `job`, which listens on `address`.
    pub fn new(job: JobId, address: SocketAddr) -> Self {
        Self {
            job,
            address,
            in_flight: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            idle: IdleConnections::default(),
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
        Engaged(self.clone())
    }

    /// Whether it was taken out of its target: running requests end, connections are not kept.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.idle.clear();
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({} at {}, {} in flight)", self.job, self.address, self.in_flight())
    }
}

/// One request that a backend has.
#[derive(Debug)]
pub(crate) struct Engaged(Arc<Backend>);

impl Drop for Engaged {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
