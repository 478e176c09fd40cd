use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures::task::AtomicWaker;
use tokio::time::Instant;

use super::Failure;

/// What the three parts that serve one client's connection (gate, handler, accept task) tell each other.
#[derive(Default)]
pub(crate) struct Link {
    /// Requests that the gate let through, and those that the handler got.
    passed: AtomicU64,
    taken: AtomicU64,
    waker: AtomicWaker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of the request that the gate refused, which is the last, and why.
    refused: Option<(u64, Failure)>,
    /// What went wrong in the middle of a request or of its answer.
    spoiled: Option<Failure>,
    /// What follows the request of this number.
    decided: Option<(u64, NextProtocol)>,
    tunnel: Option<Tunnel>,
    serving: bool,
    idle_since: Option<Instant>,
    /// Whether the connection's place is wanted by others.
    hurried: bool,
}

/// A protocol other than HTTP, being carried both ways until it ends.
pub(crate) type Tunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What follows a request that asked for an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextProtocol {
    Undecided,
    Http,
    Other,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn head_passed(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }

    /// Others wait for this connection's place: it may not wait long for its next head.
    pub(crate) fn hurry(&self) {
        let mut state = self.state();
        if !state.serving {
            state.hurried = true;
            drop(state);
            self.waker.wake();
        }
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.state().hurried
    }

    /// Whether no request has come yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.taken.load(Ordering::Relaxed) == 0
    }

    /// Refuses the request that passed last.
    pub(crate) fn refuse(&self, failure: Failure) {
        self.state().refused = Some((self.passed.load(Ordering::Relaxed), failure));
    }

    pub(crate) fn spoil(&self, failure: Failure) {
        self.state().spoiled.get_or_insert(failure);
    }

    pub(crate) fn spoiled(&self) -> Option<Failure> {
        self.state().spoiled
    }

    /// The handler takes the next request. It is served until the returned value is dropped; if the gate
    /// refused it, the reason comes with it.
    pub(crate) fn take(self: &Arc<Self>) -> (Serving, Option<Failure>) {
        let number = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        let mut state = self.state();
        (state.serving, state.hurried) = (true, false);
        let refused = state.refused.filter(|(refused, _)| *refused == number).map(|(_, failure)| failure);
        (Serving { link: self.clone(), number }, refused)
    }

    /// Since when the connection has waited for a request; none if one is being served.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let mut state = self.state();
        if state.serving { None } else { Some(*state.idle_since.get_or_insert_with(Instant::now)) }
    }

    /// What follows the request that passed last.
    pub(crate) fn next_protocol(&self) -> NextProtocol {
        let passed = self.passed.load(Ordering::Relaxed);
        let decided = self.state().decided.filter(|(number, _)| *number == passed);
        decided.map_or(NextProtocol::Undecided, |(_, next)| next)
    }

    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.state().tunnel.take()
    }
}

/// A request being served.
pub(crate) struct Serving {
    link: Arc<Link>,
    number: u64,
}

impl Serving {
    /// After this request there is another protocol, carried by `tunnel`.
    pub(crate) fn give_way(&self, tunnel: Tunnel) {
        let mut state = self.link.state();
        state.tunnel = Some(tunnel);
        state.decided = Some((self.number, NextProtocol::Other));
        drop(state);
        self.link.waker.wake();
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut state = self.link.state();
        state.serving = false;
        state.idle_since = Some(Instant::now());
        if state.decided.is_none_or(|(number, _)| number < self.number) {
            state.decided = Some((self.number, NextProtocol::Http));
        }
        drop(state);
        self.link.waker.wake();
    }
}
