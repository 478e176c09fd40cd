use std::sync::Arc;
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::noun::{Scale, Strategy};
use flynn_core::value::Resources;

use crate::placement::{self, SpreadOut};
use crate::seed::draw;

/// What a controller keeps to, the same for the whole cluster.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How good nodes are.
    pub placement: Arc<dyn placement::Policy>,
    /// Decides between equal nodes and spreads restarts in time.
    pub seed: u64,
    /// The strategy of deployments that follow from builds.
    pub strategy: Strategy,
    /// A node or router that has not been seen for this long is lost, unless its lease is longer.
    pub lost_after: Duration,
    /// The longest wait for routers before an instance is told to end.
    pub drain: Duration,
    /// How long a build waits for a node before it fails, with the reason why it got none.
    pub build_wait: Duration,
    /// How many failed starts in a row of one instance end a deployment.
    pub failed_starts: u32,
    /// How many releases an app keeps, beside those in use.
    pub kept_releases: usize,
    /// How many ended deployments an app keeps.
    pub kept_deployments: usize,
    /// How many ended builds an app keeps.
    pub kept_builds: usize,
    /// How long an ended one-off job stays, so that whoever waits for its exit sees it.
    pub kept_one_off: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            placement: Arc::new(SpreadOut),
            seed: 0,
            strategy: Strategy::OneByOne,
            lost_after: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            build_wait: Duration::from_secs(600),
            failed_starts: 3,
            kept_releases: 20,
            kept_deployments: 20,
            kept_builds: 20,
            kept_one_off: Duration::from_secs(60),
        }
    }
}

/// What an instance asks for where nobody said anything else.
pub const DEFAULT_RESOURCES: Resources = Scale::RESOURCES;

/// An instance that ran this long before it ended starts a new count of failed starts.
pub const STABLE_AFTER: Duration = Duration::from_secs(300);

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl Policy {
    /// How long the successor of `ended` waits after `attempt` failed starts in a row: not at all after the
    /// first, then 1 s, 2 s, 4 s … 5 min, less up to a quarter that is drawn for each.
    pub fn backoff(&self, attempt: u32, ended: JobId) -> Duration {
        let Some(doublings) = attempt.checked_sub(2) else {
            return Duration::ZERO;
        };
        let wait = LONGEST_WAIT.min(FIRST_WAIT * 2u32.saturating_pow(doublings.min(20)));
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(millis - draw(self.seed, ended) % (millis / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_wait_exponentially_with_a_bound_and_a_seeded_spread() {
        let policy = Policy::default();
        let mut source = flynn_core::Ids::seeded(1);
        let ids: Vec<JobId> = (0..50).map(|_| source.next(flynn_core::Timestamp::EPOCH)).collect();
        for (attempt, longest) in [(0, 0), (1, 0), (2, 1_000), (3, 2_000), (4, 4_000), (10, 256_000), (11, 300_000)] {
            let waits: Vec<u128> = ids.iter().map(|id| policy.backoff(attempt, *id).as_millis()).collect();
            assert!(waits.iter().all(|wait| *wait <= longest && *wait >= longest * 3 / 4), "{attempt}: {waits:?}");
            let again: Vec<u128> = ids.iter().map(|id| policy.backoff(attempt, *id).as_millis()).collect();
            assert_eq!(waits, again);
            assert!(longest == 0 || waits.iter().any(|wait| *wait != waits[0]), "{attempt}: all alike");
        }
        assert!(policy.backoff(u32::MAX, ids[0]) <= LONGEST_WAIT);
    }
}
