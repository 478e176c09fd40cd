//! Connections to instances that no request uses, kept by each worker for itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Whom lanes belong to, for as long as it lives.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    lanes: Mutex<Vec<Weak<Lane>>>,
}

/// The lanes of all workers to one instance.
#[derive(Debug, Default)]
pub(crate) struct Lanes(ArcSwap<Vec<Arc<Lane>>>);

/// The unused connections of one worker to one instance.
#[derive(Debug)]
pub(crate) struct Lane {
    owner: Weak<Owner>,
    stack: Mutex<Vec<Parked>>,
}

#[derive(Debug)]
struct Parked {
    stream: TcpStream,
    since: Instant,
}

impl Lanes {
    /// The lane of this owner.
    pub(super) fn of(&self, owner: &Arc<Owner>) -> Arc<Lane> {
        let is_own = |lane: &&Arc<Lane>| Weak::as_ptr(&lane.owner) == Arc::as_ptr(owner);
        if let Some(lane) = self.0.load().iter().find(is_own) {
            return lane.clone();
        }
        let own = Arc::new(Lane { owner: Arc::downgrade(owner), stack: Mutex::default() });
        self.0.rcu(|lanes| {
            let others = lanes.iter().filter(|lane| lane.owner.strong_count() > 0 && !is_own(lane));
            let all: Vec<_> = others.cloned().chain([lanes.iter().find(is_own).unwrap_or(&own).clone()]).collect();
            all
        });
        let lane = self.0.load().iter().find(is_own).cloned().unwrap_or(own);
        locked(&owner.lanes).push(Arc::downgrade(&lane));
        lane
    }

    /// Closes all unused connections.
    pub(crate) fn clear(&self) {
        for lane in self.0.load().iter() {
            lane.locked().clear();
        }
    }
}

impl Lane {
    fn locked(&self) -> MutexGuard<'_, Vec<Parked>> {
        locked(&self.stack)
    }

    /// The connection used last that is open and silent. Those found otherwise are closed.
    pub(super) fn take(&self, now: Instant, longest: Duration) -> Option<TcpStream> {
        let mut stack = self.locked();
        loop {
            let Parked { stream, since } = stack.pop()?;
            if now.saturating_duration_since(since) >= longest {
                stack.clear();
                return None;
            }
            if is_silent(&stream) {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection, and of all that are unused the `most` used last.
    pub(super) fn put(&self, stream: TcpStream, now: Instant, most: usize) {
        let mut stack = self.locked();
        let surplus = (stack.len() + 1).saturating_sub(most.max(1));
        stack.drain(..surplus);
        stack.push(Parked { stream, since: now });
    }

    fn sweep(&self, now: Instant, longest: Duration) {
        let is_kept =
            |parked: &Parked| now.saturating_duration_since(parked.since) < longest && is_silent(&parked.stream);
        self.locked().retain(is_kept);
    }
}

impl Owner {
    /// Closes what the instances have closed, and what was unused for `longest`.
    pub(super) fn sweep(&self, now: Instant, longest: Duration) {
        let mut lanes = locked(&self.lanes);
        lanes.retain(|lane| lane.upgrade().inspect(|lane| lane.sweep(now, longest)).is_some());
    }

    pub(super) fn clear(&self) {
        for lane in locked(&self.lanes).drain(..).filter_map(|lane| lane.upgrade()) {
            lane.locked().clear();
        }
    }
}

/// Whether an unused connection is open and nothing came on it. Asks the operating system only if something has
/// happened on it.
fn is_silent(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn only_open_and_silent_connections_are_used_again() {
        let (lanes, owner, other) = (Lanes::default(), Arc::new(Owner::default()), Arc::new(Owner::default()));
        let lane = lanes.of(&owner);
        assert!(Arc::ptr_eq(&lane, &lanes.of(&owner)) && !Arc::ptr_eq(&lane, &lanes.of(&other)));
        let now = Instant::now();
        let (good, _far) = pair().await;
        let (closed, far) = pair().await;
        let (noisy, mut talking) = pair().await;
        let expect = good.local_addr().unwrap();
        drop(far);
        talking.write_all(b"HTTP/1.1 408 X\r\n\r\n").await.unwrap();
        closed.readable().await.unwrap();
        noisy.readable().await.unwrap();
        for stream in [good, closed, noisy] {
            lane.put(stream, now, 10);
        }
        assert!(lanes.of(&other).take(now, LONG).is_none());
        assert_eq!(lane.take(now, LONG).unwrap().local_addr().unwrap(), expect);
        assert!(lane.take(now, LONG).is_none());
    }

    #[tokio::test]
    async fn few_are_kept_and_none_for_long() {
        let (lanes, owner) = (Lanes::default(), Arc::new(Owner::default()));
        let (lane, now) = (lanes.of(&owner), Instant::now());
        let mut far = Vec::new();
        for _ in 0..3 {
            let (near, other) = pair().await;
            lane.put(near, now, 2);
            far.push(other);
        }
        assert_eq!(lane.locked().len(), 2);
        owner.sweep(now + LONG / 2, LONG);
        assert_eq!(lane.locked().len(), 2);
        owner.sweep(now + LONG, LONG);
        assert_eq!(lane.locked().len(), 0);
        lane.put(pair().await.0, now, 2);
        lanes.clear();
        assert!(lane.take(now, LONG).is_none());
        drop(owner);
        lanes.of(&Arc::new(Owner::default()));
        assert_eq!(lanes.0.load().len(), 1);
    }
}
