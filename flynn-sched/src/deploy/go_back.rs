use flynn_core::Timestamp;

use super::all_at_once::to_wanted_count;
use super::{Cause, DeployStrategy, Rollout, Side, Step};

/// Returns from a release that failed, which is the old side here, to the one before, the new side.
///
/// Failing instances that do not serve are stopped at once. Those that serve go as the ones of the release
/// before come back, so that no fewer serve than have to. It does not wait longer than the progress
/// deadline: then it stops what is left and says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoBack;

impl DeployStrategy for GoBack {
    fn step(&self, rollout: &Rollout, now: Timestamp) -> Step {
        let is_late = now >= rollout.progressed_at + rollout.policy.progress_deadline;
        for (process, pair) in &rollout.processes {
            let serving = pair.healthy(Side::New) + pair.healthy(Side::Old);
            let idle = pair.count(Side::Old) - pair.healthy(Side::Old);
            let spare = serving.saturating_sub(pair.wanted).min(pair.healthy(Side::Old));
            let count = if is_late { pair.count(Side::Old) } else { idle + spare };
            if count > 0 {
                return Step::Stop { side: Side::Old, process: process.clone(), count };
            }
        }
        if let Some(step) = to_wanted_count(rollout) {
            return step;
        }
        let share = rollout.share();
        if rollout.weight < share {
            return Step::Shift(share);
        }
        if rollout.is_up() {
            return Step::Done;
        }
        if is_late {
            let within = rollout.policy.progress_deadline.as_secs();
            return Step::Abort(Cause::Judged(format!("the release before is not fully up after {within} s")));
        }
        Step::WaitUntil(rollout.progressed_at + rollout.policy.progress_deadline)
    }
}
