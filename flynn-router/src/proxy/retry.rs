use std::sync::atomic::{AtomicU32, Ordering};

/// What a retry costs, what each request pays in, and the most there can be.
const COST: u32 = 10;
const SHARE: u32 = 2;
const MOST: u32 = 100 * COST;

/// How many further tries the requests of a target may have: one for every five requests, and up to a hundred at
/// once. When all instances fail, the tries are soon used up, and the load on what is left stays what it is.
#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(MOST))
    }
}

impl RetryBudget {
    /// A request has come.
    pub(crate) fn earn(&self) {
        // When nothing is being retried this stays a read.
        if self.0.load(Ordering::Relaxed) < MOST {
            let add = |saved: u32| Some((saved + SHARE).min(MOST));
            let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }

    /// Whether there is a further try, which is used up by asking.
    pub(crate) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(COST)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_a_fifth_of_the_requests_in_the_long_run() {
        let budget = RetryBudget::default();
        let at_once = (0..1_000).filter(|_| budget.spend()).count();
        assert_eq!(at_once, 100);
        let later = (0..1_000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(later.count(), 200);
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!((0..1_000).filter(|_| budget.spend()).count(), 100);
    }
}
