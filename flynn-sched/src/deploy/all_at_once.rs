use flynn_core::Timestamp;

use super::{DeployStrategy, Rollout, Side, Step};

/// Starts all instances of the new release and, once they are all healthy, stops all of the old.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllAtOnce;

impl DeployStrategy for AllAtOnce {
    fn step(&self, rollout: &Rollout, now: Timestamp) -> Step {
        if let Some(cause) = rollout.failure(now) {
            return Step::Abort(cause);
        }
        if let Some(step) = to_wanted_count(rollout) {
            return step;
        }
        // Without an old release there is nobody else to send requests to.
        let weight = if rollout.is_up() || !rollout.has_old() { 100 } else { 0 };
        if rollout.weight < weight {
            return Step::Shift(weight);
        }
        if !rollout.is_up() {
            return Step::WaitUntil(rollout.deadline());
        }
        stop_all_old(rollout).unwrap_or(Step::Done)
    }
}

/// Starts or stops new instances where their number is not the wanted one.
pub(super) fn to_wanted_count(rollout: &Rollout) -> Option<Step> {
    rollout.processes.iter().find_map(|(process, pair)| {
        let (process, count) = (process.clone(), pair.count(Side::New));
        if count < pair.wanted {
            return Some(Step::Start { process, count: pair.wanted - count });
        }
        (count > pair.wanted).then(|| Step::Stop { side: Side::New, process, count: count - pair.wanted })
    })
}

fn stop_all_old(rollout: &Rollout) -> Option<Step> {
    let (process, pair) = rollout.processes.iter().find(|(_, pair)| !pair.old.is_empty())?;
    Some(Step::Stop { side: Side::Old, process: process.clone(), count: pair.count(Side::Old) })
}
