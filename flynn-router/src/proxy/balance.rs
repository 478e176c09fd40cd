//! Which instance gets a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::conduct::WARM;
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

/// What the choice of an instance goes by, beside the instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// How long an instance counts as fresh.
    pub(crate) slow_start: Duration,
}

/// Of two instances picked by `random`, the one with fewer requests; none if all were tried already. A fresh one
/// gives way to a warmer one as often as it is cold. One that keeps failing is left out, as long as at least
/// half of all can be used without it.
pub(crate) fn choose<'a>(
    backends: &'a [Arc<Backend>],
    tried: &[Arc<Backend>],
    moment: Moment,
    random: u64,
) -> Option<&'a Arc<Backend>> {
    let is_left = |backend: &&Arc<Backend>| !tried.iter().any(|tried| Arc::ptr_eq(tried, backend));
    let is_fit = |backend: &&Arc<Backend>| is_left(backend) && !backend.conduct.is_exiled(moment.now);
    let (first, second) = two_of(backends.len(), random)?;
    let (first, second) = (backends.get(first)?, backends.get(second)?);
    if is_fit(&first) && is_fit(&second) {
        return Some(better(first, second, moment, random));
    }
    let left: Vec<_> = backends.iter().filter(is_left).collect();
    let fit: Vec<_> = backends.iter().filter(is_fit).collect();
    let of = if fit.len() * 2 < left.len() { left } else { fit };
    let (first, second) = two_of(of.len(), random)?;
    Some(better(of.get(first)?, of.get(second)?, moment, random))
}

/// Two different numbers below `count`, or the same one twice if there is no other.
fn two_of(count: usize, random: u64) -> Option<(usize, usize)> {
    let pick = |count: usize, random: u64| usize::try_from(random % count.max(1) as u64).unwrap_or_default();
    match count {
        0 => None,
        1 => Some((0, 0)),
        count => {
            let first = pick(count, random & 0xff_ffff);
            Some((first, (first + 1 + pick(count - 1, random >> 24 & 0xff_ffff)) % count))
        }
    }
}

fn better<'a>(
    first: &'a Arc<Backend>,
    second: &'a Arc<Backend>,
    Moment { now, slow_start }: Moment,
    random: u64,
) -> &'a Arc<Backend> {
    let (best, other) = if second.in_flight() < first.in_flight() { (second, first) } else { (first, second) };
    let warmth = best.conduct.warmth(now, slow_start);
    let gives_way = warmth < WARM && random >> 56 >= warmth && other.conduct.warmth(now, slow_start) > warmth;
    if gives_way { other } else { best }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use flynn_core::{Ids, JobId, Timestamp};

    use super::super::conduct::EjectionRules;
    use super::*;

    const ONCE: EjectionRules = EjectionRules { after: 1, first: Duration::from_secs(5) };

    fn moment() -> Moment {
        Moment { now: Instant::now(), slow_start: Duration::ZERO }
    }

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
            assert!(Arc::ptr_eq(choose(&two, &[], moment(), dice.roll()).unwrap(), &two[1]));
        }
    }

    #[test]
    fn what_was_tried_is_not_chosen_again() {
        let all = backends(5);
        let dice = Dice::new(7);
        for _ in 0..200 {
            let mut tried = Vec::new();
            while let Some(next) = choose(&all, &tried, moment(), dice.roll()) {
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
        let engaged: Vec<_> = (0..10_000).map(|_| choose(&all, &[], moment(), dice.roll()).unwrap().engage()).collect();
        for backend in &all {
            assert!((990..=1_010).contains(&backend.in_flight()), "{backend:?}");
        }
        drop(engaged);
        assert!(all.iter().all(|backend| backend.in_flight() == 0));
    }

    #[test]
    fn who_keeps_failing_is_left_out_while_half_are_left() {
        let all = backends(4);
        let dice = Dice::new(7);
        let used = |chosen: &dyn Fn() -> Option<usize>| -> Vec<usize> {
            (0..1_000).filter_map(|_| chosen()).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let chosen = || all.iter().position(|one| Arc::ptr_eq(one, choose(&all, &[], moment(), dice.roll()).unwrap()));
        all[0].conduct.failed(Instant::now(), ONCE);
        all[1].conduct.failed(Instant::now(), ONCE);
        assert_eq!(used(&chosen), [2, 3]);
        all[2].conduct.failed(Instant::now(), ONCE);
        assert_eq!(used(&chosen), [0, 1, 2, 3]);
        all[1].conduct.succeeded();
        assert_eq!(used(&chosen), [1, 3]);
    }

    #[test]
    fn who_is_out_is_still_tried_when_all_others_were() {
        let all = backends(3);
        all[0].conduct.failed(Instant::now(), ONCE);
        let tried = [all[1].clone(), all[2].clone()];
        for random in [0, u64::MAX, 1 << 56] {
            assert!(Arc::ptr_eq(choose(&all, &tried, moment(), random).unwrap(), &all[0]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fresh_instance_gets_less_until_it_is_warm() {
        let slow_start = Duration::from_secs(10);
        let mut all = backends(1);
        tokio::time::advance(slow_start).await;
        all.extend(backends(1));
        let dice = Dice::new(7);
        let share = || {
            let moment = Moment { now: Instant::now(), slow_start };
            (0..10_000).filter(|_| Arc::ptr_eq(choose(&all, &[], moment, dice.roll()).unwrap(), &all[1])).count()
        };
        // Both are idle, so a warm instance is chosen as often as the other.
        assert!((350..=650).contains(&share()), "{}", share());
        tokio::time::advance(slow_start / 2).await;
        assert!((2_400..=3_100).contains(&share()), "{}", share());
        tokio::time::advance(slow_start / 2).await;
        assert!((4_700..=5_300).contains(&share()), "{}", share());
    }
}
