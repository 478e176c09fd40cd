//! The end of an instance, in two steps: no more requests, and then the signal.

use flynn_core::AppId;
use flynn_core::JobId;
use flynn_core::noun::{Desired, Job, JobState, Stored};

use super::{Ledger, Setting};

/// Begins to stop a job, or takes it away where nothing runs.
pub(super) fn begin(ledger: &mut Ledger<'_>, setting: &Setting<'_>, id: JobId) {
    let Some(job) = ledger.objects().get(id).cloned() else {
        return;
    };
    if job.status.state.is_end() || job.spec.node.is_none() {
        ledger.remove(id);
    } else if job.spec.desired == Desired::Up {
        let is_routed = job.spec.workload.process.port.is_some() && matches!(job.status.state, JobState::Up { .. });
        let desired = if is_routed && !setting.routers.is_empty() { Desired::Drain } else { Desired::Down };
        ledger.update(id, Job { desired, ..job.spec.clone() });
        // An instance that has come up in the meantime may be in a router's table.
        ledger.rest_on_status(id);
        if desired == Desired::Drain {
            ledger.look_again(setting.now + setting.policy.drain);
        }
    }
}

/// Goes on with the jobs of `app` that are being stopped.
pub(super) fn go_on(ledger: &mut Ledger<'_>, setting: &Setting<'_>, app: AppId) {
    for job in ledger.jobs(app) {
        if job.spec.desired == Desired::Up || ledger.has_new_spec(job.id) {
            continue;
        }
        if job.spec.node.is_none() || (job.status.state.is_end() && !super::retire::is_awaited(&job, setting)) {
            ledger.remove(job.id);
        } else if job.spec.desired == Desired::Drain && !job.status.state.is_end() {
            match waits_until(&job, setting) {
                Some(until) => ledger.look_again(until),
                None => ledger.update(job.id, Job { desired: Desired::Down, ..job.spec.clone() }),
            }
        }
    }
}

/// Until when a draining job waits for routers; none if it need not.
fn waits_until(job: &Stored<Job>, setting: &Setting<'_>) -> Option<flynn_core::Timestamp> {
    let is_serving = job.spec.workload.process.port.is_some() && matches!(job.status.state, JobState::Up { .. });
    if !is_serving || setting.routers.have_seen(job.spec_version) {
        return None;
    }
    let since = setting.observed.marks.at(job.spec_version).unwrap_or(setting.now);
    let until = since + setting.policy.drain;
    (setting.now < until).then_some(until)
}
