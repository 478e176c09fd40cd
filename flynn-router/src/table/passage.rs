use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use tokio::sync::{Mutex, Notify};

/// Counts the routing decisions under way, so that a writer can wait for those that began before it wrote.
///
/// Two counters take turns. A decision enters on the current one; a waiter makes the other current and waits
/// until the first is empty, and does so twice, since a decision may have read the turn just before it changed.
#[derive(Debug, Default)]
pub struct Crossing {
    turn: AtomicUsize,
    inside: [AtomicUsize; 2],
    left: Notify,
    waiter: Mutex<()>,
}

/// One routing decision under way. It ends when this is dropped.
#[derive(Debug)]
pub struct Passage {
    crossing: Option<(Arc<Crossing>, usize)>,
}

impl Passage {
    /// A decision that nobody waits for.
    pub fn unwatched() -> Self {
        Self { crossing: None }
    }
}

impl Crossing {
    /// Begins a decision. What was written before a [`settle`](Self::settle) that does not wait for it is
    /// visible to it.
    pub fn enter(self: &Arc<Self>) -> Passage {
        let slot = self.turn.load(Ordering::SeqCst) & 1;
        self.inside[slot].fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Passage { crossing: Some((self.clone(), slot)) }
    }

    /// Waits for the end of every decision that began before the call. It can be dropped at any time.
    pub async fn settle(&self) {
        let _one_at_a_time = self.waiter.lock().await;
        for _ in 0..2 {
            fence(Ordering::SeqCst);
            let slot = self.turn.fetch_add(1, Ordering::SeqCst) & 1;
            loop {
                let left = self.left.notified();
                tokio::pin!(left);
                left.as_mut().enable();
                if self.inside[slot].load(Ordering::SeqCst) == 0 {
                    break;
                }
                left.await;
            }
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if let Some((crossing, slot)) = &self.crossing
            && crossing.inside[*slot].fetch_sub(1, Ordering::SeqCst) == 1
        {
            crossing.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn settling_waits_for_earlier_decisions_only() {
        let crossing = Arc::new(Crossing::default());
        let early = crossing.enter();
        let waiting = crossing.settle();
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(early);
        waiting.await;

        let late = crossing.enter();
        drop(late);
        tokio::time::timeout(Duration::from_secs(10), crossing.settle()).await.unwrap();
    }

    /// Readers copy a value inside a passage; once settled, no reader may still hold an older one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_decision_outlives_its_table() {
        let crossing = Arc::new(Crossing::default());
        let table = Arc::new(AtomicU64::new(0));
        let oldest_in_use = Arc::new([const { AtomicU64::new(u64::MAX) }; 3]);
        let done = Arc::new(AtomicU64::new(0));
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (crossing, table, used, done) =
                    (crossing.clone(), table.clone(), oldest_in_use.clone(), done.clone());
                tokio::spawn(async move {
                    while done.load(Ordering::SeqCst) == 0 {
                        let passage = crossing.enter();
                        used[reader].store(table.load(Ordering::SeqCst), Ordering::SeqCst);
                        std::hint::spin_loop();
                        used[reader].store(u64::MAX, Ordering::SeqCst);
                        drop(passage);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for version in 1..5_000 {
            table.store(version, Ordering::SeqCst);
            crossing.settle().await;
            for used in oldest_in_use.iter() {
                assert!(used.load(Ordering::SeqCst) >= version);
            }
        }
        done.store(1, Ordering::SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
    }
}
