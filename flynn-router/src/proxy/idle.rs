use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;

use super::upstream::Upstream;

/// The open connections to one instance that no request uses.
#[derive(Default)]
pub(crate) struct IdleConnections {
    stack: Mutex<Vec<Parked>>,
}

struct Parked {
    upstream: Upstream,
    since: Instant,
}

impl IdleConnections {
    fn stack(&self) -> MutexGuard<'_, Vec<Parked>> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last that is open and free. Those found closed are dropped.
    pub(crate) fn take(&self, longest: Duration) -> Option<Upstream> {
        let mut stack = self.stack();
        let mut busy = Vec::new();
        let found = loop {
            let Some(mut parked) = stack.pop() else { break None };
            if parked.since.elapsed() >= longest {
                stack.clear();
                break None;
            }
            match parked.upstream.sender.ready().now_or_never() {
                Some(Ok(())) => break Some(parked.upstream),
                Some(Err(_)) => {}
                None => busy.push(parked),
            }
        };
        stack.extend(busy);
        found
    }

    /// Keeps a connection, and of all that are idle the `most` used last, none for longer than `longest`.
    pub(crate) fn put(&self, upstream: Upstream, most: usize, longest: Duration) {
        let mut stack = self.stack();
        let is_old = |parked: &Parked| parked.since.elapsed() >= longest;
        let old = stack.partition_point(is_old).max((stack.len() + 1).saturating_sub(most.max(1)));
        stack.drain(..old);
        stack.push(Parked { upstream, since: Instant::now() });
    }

    pub(crate) fn clear(&self) {
        self.stack().clear();
    }
}
