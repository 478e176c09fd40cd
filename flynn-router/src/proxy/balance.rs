//! Which instance gets a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::table::Backend;

/// Random numbers from a seed, good enough to spread load and to name requests.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number: SplitMix64.
    pub(crate) fn roll(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Of two instances picked by `random`, the one with fewer requests; none if all were tried already.
pub(crate) fn choose<'a>(
    backends: &'a [Arc<Backend>],
    tried: &[Arc<Backend>],
    random: u64,
) -> Option<&'a Arc<Backend>> {
    let is_left = |backend: &&Arc<Backend>| !tried.iter().any(|tried| Arc::ptr_eq(tried, backend));
    let pick = |count: u64, random: u64| usize::try_from(random % count).unwrap_or_default();
    let (low, high) = (random & 0xffff_ffff, random >> 32);
    if tried.is_empty() {
        return two_of(backends.len(), low, high, pick, |at| backends.get(at));
    }
    let left: Vec<_> = backends.iter().filter(is_left).collect();
    two_of(left.len(), low, high, pick, |at| left.get(at).copied())
}

fn two_of<'a>(
    count: usize,
    low: u64,
    high: u64,
    pick: impl Fn(u64, u64) -> usize,
    get: impl Fn(usize) -> Option<&'a Arc<Backend>>,
) -> Option<&'a Arc<Backend>> {
    match count as u64 {
        0 => None,
        1 => get(0),
        count => {
            let first = pick(count, low);
            let second = (first + 1 + pick(count - 1, high)) % (count as usize);
            let (first, second) = (get(first)?, get(second)?);
            Some(if second.in_flight() < first.in_flight() { second } else { first })
        }
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::{Ids, JobId, Timestamp};

    use super::*;

    fn backends(count: usize) -> Vec<Arc<Backend>> {
        let mut ids = Ids::seeded(1);
        let mut id = || -> JobId { ids.next(Timestamp::EPOCH) };
        (0..count).map(|_| Arc::new(Backend::new(id(), ([127, 0, 0, 1], 1).into()))).collect()
    }

    #[test]
    fn the_busier_of_two_is_never_chosen() {
        let two = backends(2);
        let _busy = two[0].engage();
        let dice = Dice::new(7);
        for _ in 0..1_000 {
            assert!(Arc::ptr_eq(choose(&two, &[], dice.roll()).unwrap(), &two[1]));
        }
    }

    #[test]
    fn what_was_tried_is_not_chosen_again() {
        let all = backends(5);
        let dice = Dice::new(7);
        for _ in 0..200 {
            let mut tried = Vec::new();
            while let Some(next) = choose(&all, &tried, dice.roll()) {
                assert!(!tried.iter().any(|tried| Arc::ptr_eq(tried, next)));
                tried.push(next.clone());
            }
            assert_eq!(tried.len(), 5);
        }
    }

    #[test]
    fn load_spreads_evenly() {
        let all = backends(10);
        let dice = Dice::new(7);
        let engaged: Vec<_> = (0..10_000).map(|_| choose(&all, &[], dice.roll()).unwrap().engage()).collect();
        for backend in &all {
            assert!((990..=1_010).contains(&backend.in_flight()), "{backend:?}");
        }
        drop(engaged);
        assert!(all.iter().all(|backend| backend.in_flight() == 0));
    }
}
