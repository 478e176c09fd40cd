use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Failure;
use super::handler::Shared;

/// The codes of failures, `R10` first.
const CODES: usize = 20;

/// What a proxy has counted since it was made. Its parts are read one after another, not all at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Clients that were taken in.
    pub connections: u64,
    /// Clients that did not get as far as an encrypted connection.
    pub unsecured: u64,
    /// Clients that are connected.
    pub open: u64,
    /// How often a client had to wait because there were as many as there may be.
    pub crowded: u64,
    /// Requests that have ended, well or not.
    pub requests: u64,
    /// Further tries of requests that an instance did not take.
    pub retries: u64,
    /// How often an instance was passed over from then on.
    pub ejections: u64,
    /// Requests that failed, by their code. Codes that did not occur are left out.
    pub failures: BTreeMap<String, u64>,
}

/// The counters behind [`Counts`].
#[derive(Debug, Default)]
pub(crate) struct Meters {
    connections: AtomicU64,
    unsecured: AtomicU64,
    open: AtomicU64,
    crowded: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    ejections: AtomicU64,
    failures: [AtomicU64; CODES],
}

/// A client that counts as connected for as long as this lives.
pub(crate) struct Open(Arc<Shared>);

impl Meters {
    pub(crate) fn open(shared: &Arc<Shared>) -> Open {
        shared.meters.connections.fetch_add(1, Ordering::Relaxed);
        shared.meters.open.fetch_add(1, Ordering::Relaxed);
        Open(shared.clone())
    }

    pub(crate) fn crowded(&self) {
        self.crowded.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "tls")]
    pub(crate) fn unsecured(&self) {
        self.unsecured.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ejected(&self) {
        self.ejections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, failure: Option<&Failure>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(counter) = failure.and_then(|failure| self.failures.get(failure.number().checked_sub(10)?)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failures = self.failures.iter().map(read).enumerate().filter(|(_, count)| *count > 0);
        Counts {
            connections: read(&self.connections),
            unsecured: read(&self.unsecured),
            open: read(&self.open),
            crowded: read(&self.crowded),
            requests: read(&self.requests),
            retries: read(&self.retries),
            ejections: read(&self.ejections),
            failures: failures.map(|(at, count)| (format!("R{}", at + 10), count)).collect(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.meters.open.fetch_sub(1, Ordering::Relaxed);
    }
}
