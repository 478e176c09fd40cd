use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How many requests of a route are passed on, counted over all clients.
///
/// Requests come in at most at `per_second`, and `burst` of them at once after a time of rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    interval: u64,
    burst: u32,
}

impl RateLimit {
    /// A limit; none if either number is zero.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let interval = 1_000_000_000_u64.checked_div(u64::from(per_second))?;
        (burst > 0).then_some(Self { interval, burst })
    }

    /// Whether a request at `now` keeps the limit, and when the next is due after it: the generic cell rate
    /// algorithm, in which `due` is the time at which one more request would be just on time. If not, how long
    /// to wait. All times are nanoseconds after the same moment.
    fn admit(self, due: u64, now: u64) -> Result<u64, Duration> {
        let ahead = due.saturating_sub(now);
        let most = self.interval.saturating_mul(u64::from(self.burst) - 1);
        match ahead.checked_sub(most).filter(|late| *late > 0) {
            Some(late) => Err(Duration::from_nanos(late)),
            None => Ok(due.max(now).saturating_add(self.interval)),
        }
    }
}

/// What a limit has let through so far.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: RateLimit,
    began: Instant,
    due: AtomicU64,
}

impl Bucket {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self { limit, began: Instant::now(), due: AtomicU64::new(0) }
    }

    pub(crate) fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Counts a request, or says how long to wait.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut due = self.due.load(Ordering::Relaxed);
        loop {
            let next = self.limit.admit(due, now)?;
            match self.due.compare_exchange_weak(due, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => due = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let limit = RateLimit::new(10, 3).unwrap();
        let mut due = 0;
        for _ in 0..3 {
            due = limit.admit(due, 0).unwrap();
        }
        assert_eq!(limit.admit(due, 0), Err(Duration::from_millis(100)));
        due = limit.admit(due, 100_000_000).unwrap();
        assert_eq!(limit.admit(due, 150_000_000), Err(Duration::from_millis(50)));
        assert!(RateLimit::new(0, 1).is_none() && RateLimit::new(1, 0).is_none());
    }

    proptest! {
        /// In no span of time are there more requests than a burst and those that the rate allows.
        #[test]
        fn no_span_has_too_many(
            per_second in 1_u32..1_000,
            burst in 1_u32..20,
            gaps in proptest::collection::vec(0_u64..50_000_000, 1..200),
        ) {
            let limit = RateLimit::new(per_second, burst).unwrap();
            let (mut due, mut now, mut admitted) = (0, 0, Vec::new());
            for gap in gaps {
                now += gap;
                match limit.admit(due, now) {
                    Ok(next) => {
                        due = next;
                        admitted.push(now);
                    }
                    // Whoever waits as long as told gets in.
                    Err(wait) => prop_assert!(limit.admit(due, now + wait.as_nanos() as u64).is_ok()),
                }
            }
            for (at, first) in admitted.iter().enumerate() {
                for (count, last) in admitted[at..].iter().enumerate() {
                    let allowed = u64::from(burst) + (last - first) / limit.interval;
                    prop_assert!((count as u64) < allowed, "{} from {first} to {last}", count + 1);
                }
            }
        }
    }
}
