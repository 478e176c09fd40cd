use flynn_core::Timestamp;
use flynn_core::name::ProcessName;
use flynn_core::noun::{DeployPolicy, Share};

use super::{Condition, DeployStrategy, Pair, Rollout, Side, Step};

/// Replaces instances in groups: starts a group of the new release and stops old ones as the new are healthy.
///
/// Never are there more than [`max_extra`](DeployPolicy::max_extra) instances beside the wanted number, unless there were
/// before, and never does it stop one that serves when more than [`max_missing`](DeployPolicy::max_missing) would be
/// missing then. The policy has the last word on both; what is said here holds where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rolling {
    /// How many are started together. The next group follows when all of them are healthy.
    pub group: Share,
    /// How many there may be beside the wanted number.
    pub extra: Share,
    /// How many of the wanted number may be missing.
    pub missing: Share,
}

impl Rolling {
    /// One up, one down: at no time are fewer instances healthy than before, or than are wanted if that is less.
    pub const ONE_BY_ONE: Self = Self { group: Share::Count(1), extra: Share::Count(1), missing: Share::Count(0) };

    /// One down, one up: it needs no room beside what the old instances leave.
    pub const ONE_DOWN_ONE_UP: Self = Self { group: Share::Count(1), extra: Share::Count(0), missing: Share::Count(1) };

    /// So many up, then as many down.
    pub const fn in_batches(size: Share) -> Self {
        Self { group: size, extra: size, missing: Share::Count(0) }
    }

    fn bounds(&self, policy: &DeployPolicy, wanted: u32) -> Bounds {
        let extra = policy.max_extra.unwrap_or(self.extra).rounded_up(wanted);
        let missing = policy.max_missing.unwrap_or(self.missing).rounded_down(wanted);
        // Where a small share of few is nothing, one at a time still goes on.
        let missing = if extra == 0 { missing.max(1) } else { missing };
        Bounds { group: self.group.rounded_up(wanted).max(1), extra, missing }
    }
}

/// The numbers for one process type.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    group: u32,
    extra: u32,
    missing: u32,
}

impl DeployStrategy for Rolling {
    fn step(&self, rollout: &Rollout, now: Timestamp) -> Step {
        if let Some(cause) = rollout.failure(now) {
            return Step::Abort(cause);
        }
        let share = rollout.share();
        if rollout.weight < share {
            return Step::Shift(share);
        }
        // What only the old release has goes last, when the new release serves.
        let (kept, vanishing): (Vec<_>, Vec<_>) = rollout.processes.iter().partition(|(_, pair)| pair.wanted > 0);
        for (process, pair) in kept {
            if let Some(step) = self.bounds(&rollout.policy, pair.wanted).replace(process, pair) {
                return step;
            }
            if !pair.is_up() || !pair.old.is_empty() {
                return Step::WaitUntil(rollout.deadline());
            }
        }
        for (process, pair) in vanishing {
            for side in [Side::New, Side::Old] {
                if pair.count(side) > 0 {
                    return Step::Stop { side, process: process.clone(), count: pair.count(side) };
                }
            }
        }
        if rollout.weight < 100 { Step::Shift(100) } else { Step::Done }
    }
}

impl Bounds {
    fn replace(self, process: &ProcessName, pair: &Pair) -> Option<Step> {
        let process = || process.clone();
        let (new, old, wanted) = (pair.count(Side::New), pair.count(Side::Old), pair.wanted);
        if new > wanted {
            return Some(Step::Stop { side: Side::New, process: process(), count: new - wanted });
        }
        let to_start = wanted - new;
        let room = wanted.saturating_add(self.extra).saturating_sub(new + old);
        let starting = new - pair.healthy(Side::New);
        let group = if starting == 0 { to_start.min(self.group) } else { 0 };
        // Those beyond the wanted number go, and those in whose place others are to be started.
        let going = (new + old).saturating_sub(wanted).max(group.saturating_sub(room)).min(old);
        let count = going.min(self.dispensable(pair));
        if count > 0 {
            return Some(Step::Stop { side: Side::Old, process: process(), count });
        }
        let count = group.min(room);
        (count > 0).then(|| Step::Start { process: process(), count })
    }

    /// How many old instances can go, those that do not serve first, until too few serve.
    fn dispensable(self, pair: &Pair) -> u32 {
        let idle = pair.old.iter().filter(|instance| instance.condition != Condition::Healthy).count();
        let serving = pair.healthy(Side::New) + pair.healthy(Side::Old);
        let spare = serving.saturating_sub(pair.wanted.saturating_sub(self.missing));
        u32::try_from(idle).unwrap_or(u32::MAX).saturating_add(spare)
    }
}
