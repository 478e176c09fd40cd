use flynn_core::Timestamp;
use flynn_core::name::ProcessName;

use super::{Condition, DeployStrategy, Pair, Rollout, Side, Step};

/// Starts one instance of the new release, stops one of the old as soon as it is healthy, and so on until
/// all are replaced. At no time are fewer instances healthy than before, or than are wanted if that is less.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneByOne;

impl DeployStrategy for OneByOne {
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
            if let Some(step) = replace_one(process, pair) {
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

fn replace_one(process: &ProcessName, pair: &Pair) -> Option<Step> {
    let (new, old) = (pair.count(Side::New), pair.count(Side::Old));
    if new > pair.wanted {
        return Some(Step::Stop { side: Side::New, process: process.clone(), count: new - pair.wanted });
    }
    if old > 0 && new + old > pair.wanted && can_spare_one(pair) {
        return Some(Step::Stop { side: Side::Old, process: process.clone(), count: 1 });
    }
    let is_starting = pair.healthy(Side::New) < new;
    (!is_starting && new < pair.wanted).then(|| Step::Start { process: process.clone(), count: 1 })
}

/// Whether the old instance that would be stopped first can go: it does not serve, or enough others do.
fn can_spare_one(pair: &Pair) -> bool {
    let idle = pair.old.iter().any(|instance| instance.condition != Condition::Healthy);
    idle || pair.healthy(Side::New) + pair.healthy(Side::Old) > pair.wanted
}
