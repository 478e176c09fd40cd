//! How an instance has behaved so far, as far as the router can tell.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Longest time for which an instance is passed over.
const LONGEST_EXILE: Duration = Duration::from_secs(60);
/// What warm is, and how warm a fresh instance is, in parts of 256.
pub(crate) const WARM: u64 = 256;
const COLD: u64 = 26;

/// When an instance is passed over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EjectionRules {
    /// After so many failures in a row; zero is never.
    pub(crate) after: u32,
    /// For how long the first time. Each further time is twice as long, up to a minute.
    pub(crate) first: Duration,
}

/// The age and the failures of an instance.
#[derive(Debug)]
pub(crate) struct Conduct {
    since: Instant,
    failures: AtomicU32,
    /// Until when it is passed over, in milliseconds after `since`.
    exiled_until: AtomicU64,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { since: Instant::now(), failures: AtomicU32::new(0), exiled_until: AtomicU64::new(0) }
    }
}

impl Conduct {
    /// An answer came.
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.exiled_until.store(0, Ordering::Relaxed);
        }
    }

    /// No answer came, and it was the instance's fault. Says whether it is passed over from here on.
    pub(crate) fn failed(&self, now: Instant, rules: EjectionRules) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        match exile(failures, rules) {
            Some(time) => {
                let until = self.age(now).saturating_add(time);
                self.exiled_until.store(millis(until), Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Whether it is passed over.
    pub(crate) fn is_exiled(&self, now: Instant) -> bool {
        match self.exiled_until.load(Ordering::Relaxed) {
            0 => false,
            until => millis(self.age(now)) < until,
        }
    }

    /// How much of its share it gets, in parts of [`WARM`], if it is fresh for as long as `slow_start`.
    pub(crate) fn warmth(&self, now: Instant, slow_start: Duration) -> u64 {
        warmth(self.age(now), slow_start)
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

/// For how long an instance is passed over after so many failures in a row.
fn exile(failures: u32, rules: EjectionRules) -> Option<Duration> {
    let beyond = failures.checked_sub(rules.after).filter(|_| rules.after > 0)?;
    Some(rules.first.saturating_mul(1 << beyond.min(16)).min(LONGEST_EXILE))
}

fn warmth(age: Duration, slow_start: Duration) -> u64 {
    if age >= slow_start {
        return WARM;
    }
    let grown = (WARM - COLD) * millis(age) / millis(slow_start).max(1);
    (COLD + grown).min(WARM)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / WARM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: EjectionRules = EjectionRules { after: 3, first: Duration::from_secs(5) };

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_exile_and_one_answer_ends_it() {
        let conduct = Conduct::default();
        let now = Instant::now();
        assert!(!conduct.failed(now, RULES) && !conduct.failed(now, RULES) && !conduct.is_exiled(now));
        conduct.succeeded();
        assert!(!conduct.failed(now, RULES) && !conduct.failed(now, RULES));
        assert!(conduct.failed(now, RULES));
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(conduct.is_exiled(after(4)) && !conduct.is_exiled(after(5)));
        // It gets one chance at a time, and is out for longer each time it does not take it.
        assert!(conduct.failed(after(5), RULES));
        assert!(conduct.is_exiled(after(14)) && !conduct.is_exiled(after(15)));
        conduct.succeeded();
        assert!(!conduct.is_exiled(after(5)));
    }

    #[test]
    fn exile_doubles_up_to_a_minute_and_can_be_off() {
        let seconds = |failures| exile(failures, RULES).map(|time| time.as_secs());
        assert_eq!(
            [2, 3, 4, 5, 6, 7, 1_000].map(seconds),
            [None, Some(5), Some(10), Some(20), Some(40), Some(60), Some(60)]
        );
        assert_eq!(exile(u32::MAX, EjectionRules { after: 0, ..RULES }), None);
    }

    #[test]
    fn instances_grow_warm_steadily() {
        let all: Vec<_> = (0..=10).map(|age| warmth(Duration::from_secs(age), Duration::from_secs(10))).collect();
        assert_eq!((all[0], all[10]), (COLD, WARM));
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
        assert_eq!(warmth(Duration::ZERO, Duration::ZERO), WARM);
    }
}
