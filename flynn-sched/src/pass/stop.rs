//! The end of an instance, in two steps: no more requests, and then the signal.

use std::collections::BTreeMap;

use flynn_core::AppId;
use flynn_core::JobId;
use flynn_core::name::ProcessName;
use flynn_core::noun::{Desired, Formation, Health, Job, JobState, Purpose, Stored};

use super::{Ledger, Setting};

/// Begins to stop a job, or takes it away where nothing runs.
pub(super) fn begin(ledger: &mut Ledger<'_>, setting: &Setting<'_>, id: JobId) {
    let Some(job) = ledger.objects().get(id).cloned() else {
        return;
    };
    if job.status.state.is_end() || job.spec.node.is_none() {
        ledger.remove(id);
    } else if job.spec.desired < Desired::Drain {
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

/// Begins to stop the instances of `app` that are to be replaced, as far as others serve in their place.
pub(super) fn replaced(ledger: &mut Ledger<'_>, setting: &Setting<'_>, app: AppId) {
    let mut going: BTreeMap<ProcessName, Vec<JobId>> = BTreeMap::new();
    let mut serving: BTreeMap<ProcessName, usize> = BTreeMap::new();
    for job in ledger.jobs(app) {
        let Purpose::Service { process, .. } = &job.spec.purpose else { continue };
        let is_healthy = matches!(job.status.state, JobState::Up { health: Health::Healthy, .. });
        if is_healthy && job.spec.desired < Desired::Drain {
            *serving.entry(process.clone()).or_default() += 1;
        }
        if job.spec.desired == Desired::Replace {
            match is_healthy {
                true => going.entry(process.clone()).or_default().push(job.id),
                false => begin(ledger, setting, job.id),
            }
        }
    }
    for (process, going) in going {
        let wanted = wanted(ledger, app, &process);
        let spare = serving.get(&process).map_or(0, |serving| serving.saturating_sub(wanted));
        for job in going.into_iter().take(spare) {
            begin(ledger, setting, job);
        }
        if let Some(formation) = ledger.formation(app).map(|formation| formation.id) {
            ledger.rest_on::<Formation>(app, formation);
        }
    }
}

/// How many instances of a process type are to serve.
fn wanted(ledger: &Ledger<'_>, app: AppId, process: &ProcessName) -> usize {
    let release = ledger.objects().get(app).and_then(|app| app.status.release);
    let release = release.and_then(|release| ledger.objects().get(release));
    let counted = release.is_some_and(|release| release.spec.processes.contains_key(process));
    let scale = ledger.formation(app).and_then(|formation| formation.spec.processes.get(process));
    scale.filter(|_| counted).map_or(0, |scale| usize::try_from(scale.count).unwrap_or(usize::MAX))
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
