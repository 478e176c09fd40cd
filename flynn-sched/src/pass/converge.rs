//! Outside deployments an app has the instances that its formation asks for.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use flynn_core::name::ProcessName;
use flynn_core::noun::{
    Deployment, DeploymentState, Desired, Formation, Health, Job, JobState, OnFailure, Purpose, Stored,
};
use flynn_core::{AppId, Ids, JobId};

use super::retire::Files;
use super::{Ledger, Setting, replace, stop};

type Jobs = [Arc<Stored<Job>>];

/// Starts what is missing and stops what is too much.
///
/// While a deployment is open it decides about the instances of its two releases. One that failed and was
/// to be kept as it is leaves everything alone until the next.
pub(super) fn to_formation(ledger: &mut Ledger<'_>, setting: &Setting<'_>, ids: &mut Ids, app: AppId, files: &Files) {
    let jobs = ledger.jobs(app);
    let stop_all = |ledger: &mut Ledger<'_>, unwanted: Vec<&Arc<Stored<Job>>>| {
        unwanted.into_iter().for_each(|job| stop::begin(ledger, setting, job.id));
    };
    if let Some(open) = ledger.open_deployment(app).cloned() {
        let Deployment { from, to, .. } = open.spec;
        let is_foreign = |job: &Stored<Job>, _: &_| job.spec.release != to && Some(job.spec.release) != from;
        return stop_all(ledger, instances(&jobs, is_foreign));
    }
    let last = files.deployments.last().and_then(|last| ledger.objects().get(last.id));
    if last.is_some_and(|last| is_kept(last)) {
        return;
    }
    let serving = ledger.objects().get(app).and_then(|app| app.status.release);
    let Some(serving) = serving else {
        return stop_all(ledger, instances(&jobs, |_, _| true));
    };
    let Some(release) = ledger.objects().get(serving).cloned() else {
        return;
    };
    stop_all(ledger, instances(&jobs, |job, _| job.spec.release != serving));
    let formation = ledger.formation(app).cloned();
    if let Some(formation) = &formation {
        ledger.rest_on::<Formation>(app, formation.id);
    }
    let running = jobs.iter().filter_map(|job| match &job.spec.purpose {
        Purpose::Service { process, .. } => Some(process),
        Purpose::OneOff { .. } => None,
    });
    let processes: BTreeSet<&ProcessName> = release.spec.processes.keys().chain(running).collect();
    for process in processes {
        let scale = formation.as_ref().and_then(|formation| formation.spec.processes.get(process));
        let wanted = scale.filter(|_| release.spec.processes.contains_key(process)).map_or(0, |scale| scale.count);
        let meant = instances(&jobs, |job, name| job.spec.release == serving && name == process);
        let count = u32::try_from(meant.len()).unwrap_or(u32::MAX);
        if count < wanted {
            replace::start(ledger, setting.now, ids, &release, process, None, wanted - count);
        }
        for victim in victims(meant, count.saturating_sub(wanted)) {
            stop::begin(ledger, setting, victim);
        }
    }
}

/// The service jobs that are meant to run and that `matches` holds for.
pub(super) fn instances(jobs: &Jobs, matches: impl Fn(&Stored<Job>, &ProcessName) -> bool) -> Vec<&Arc<Stored<Job>>> {
    let is_one = |job: &&Arc<Stored<Job>>| match &job.spec.purpose {
        Purpose::Service { process, .. } => job.spec.desired == Desired::Up && matches(job, process),
        Purpose::OneOff { .. } => false,
    };
    jobs.iter().filter(is_one).collect()
}

/// Those that go first: the further from serving the sooner, then the highest number.
pub(super) fn victims(mut jobs: Vec<&Arc<Stored<Job>>>, count: u32) -> Vec<JobId> {
    let readiness = |job: &Stored<Job>| match &job.status.state {
        JobState::Exited(_) | JobState::Lost { .. } => 0,
        JobState::Pending { .. } => 1,
        JobState::Assigned | JobState::Stopping => 2,
        JobState::Starting => 3,
        JobState::Up { health: Health::Unhealthy, .. } => 4,
        JobState::Up { health: Health::Healthy, .. } => 5,
    };
    let number = |job: &Stored<Job>| match job.spec.purpose {
        Purpose::Service { instance, .. } => instance,
        Purpose::OneOff { .. } => 0,
    };
    jobs.sort_by_key(|job| (readiness(job), Reverse(number(job)), job.id));
    jobs.into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)).map(|job| job.id).collect()
}

fn is_kept(last: &Stored<Deployment>) -> bool {
    last.spec.policy.on_failure == OnFailure::Keep && matches!(last.status.state, DeploymentState::Failed { .. })
}
