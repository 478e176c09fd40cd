use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flynn_core::JobId;
use tokio::sync::OwnedMutexGuard;

/// Lets one task at a time change a job, or whatever else has keys of its own.
#[derive(Debug)]
pub(crate) struct Turns<K = JobId> {
    all: Mutex<BTreeMap<K, Arc<tokio::sync::Mutex<()>>>>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { all: Mutex::default() }
    }
}

/// It is this task's to change until this is dropped.
pub(crate) type Turn = OwnedMutexGuard<()>;

impl<K: Ord> Turns<K> {
    /// Waits for a turn.
    pub(crate) async fn wait(&self, key: K) -> Turn {
        self.of(key).lock_owned().await
    }

    /// A turn, if nobody else has it.
    pub(crate) fn try_now(&self, key: K) -> Option<Turn> {
        self.of(key).try_lock_owned().ok()
    }

    fn of(&self, key: K) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // Who holds or awaits a turn has a second reference.
        all.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(all.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::{Ids, Timestamp};

    use super::*;

    #[tokio::test]
    async fn a_job_has_one_turn_at_a_time_and_is_forgotten_afterwards() {
        let (mut ids, turns) = (Ids::seeded(1), Turns::default());
        let (one, other): (JobId, JobId) = (ids.next(Timestamp::EPOCH), ids.next(Timestamp::EPOCH));
        let turn = turns.wait(one).await;
        assert!(turns.try_now(one).is_none());
        assert!(turns.try_now(other).is_some());
        drop(turn);
        assert!(turns.try_now(one).is_some());
        let _turn = turns.wait(other).await;
        assert_eq!(turns.all.lock().unwrap().len(), 1);
    }
}
