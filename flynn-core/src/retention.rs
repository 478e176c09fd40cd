use std::time::Duration;

/// How much of the past a store keeps. Nothing grows without bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Commits in the event log. A reader further behind takes a new snapshot.
    pub commits: u64,
    /// Removed objects of one kind and one app in the history.
    pub archived_per_app: u64,
    /// Commits in the audit record.
    pub audit: u64,
    /// Idempotency keys.
    pub keys: usize,
    /// How long an idempotency key is remembered, if there are not too many.
    pub key_age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            commits: 10_000,
            archived_per_app: 200,
            audit: 10_000,
            keys: 10_000,
            key_age: Duration::from_secs(24 * 3_600),
        }
    }
}
