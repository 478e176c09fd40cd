use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::port::{Beat, Member, Presence, Seen};
use crate::time::{Clock, SystemClock};

/// How long a member that has gone is remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Presence in memory.
#[derive(Debug)]
pub struct MemoryPresence {
    clock: Arc<dyn Clock>,
    seen: Mutex<BTreeMap<Member, Seen>>,
}

impl Default for MemoryPresence {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryPresence {
    /// Nobody is present.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, seen: Mutex::default() }
    }
}

#[async_trait]
impl Presence for MemoryPresence {
    async fn beat(&self, member: Member, beat: Beat, lease: Duration) -> Result<(), StoreError> {
        let at = self.clock.now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, other| other.until + FORGOTTEN_AFTER > at);
        seen.insert(member, Seen { member, beat, at, until: at + lease });
        Ok(())
    }

    async fn seen(&self) -> Result<Vec<Seen>, StoreError> {
        let now = self.clock.now();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(seen.values().filter(|seen| seen.until + FORGOTTEN_AFTER > now).cloned().collect())
    }
}
