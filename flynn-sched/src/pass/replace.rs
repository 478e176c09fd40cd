//! Instances that ended although they were meant to run, and how instances are made.

use std::collections::BTreeSet;
use std::sync::Arc;

use flynn_core::name::{AppName, ProcessName};
use flynn_core::noun::{
    App, DeploymentId, Desired, Job, JobState, JobStatus, Purpose, Release, ReleaseId, Stored, Workload,
};
use flynn_core::value::Resources;
use flynn_core::{AppId, Ids, Timestamp};

use super::policy::{DEFAULT_RESOURCES, STABLE_AFTER};
use super::{Ledger, Setting};

/// Puts a successor in the place of each service job that ended and was not told to, under its number.
pub(super) fn ended(ledger: &mut Ledger<'_>, setting: &Setting<'_>, ids: &mut Ids, app: AppId) {
    for job in ledger.jobs(app) {
        let Purpose::Service { process, instance, deployment } = &job.spec.purpose else {
            continue;
        };
        if job.spec.desired != Desired::Up || !job.status.state.is_end() {
            continue;
        }
        let resources = size(ledger, app, process).unwrap_or(job.spec.resources);
        let (attempt, wait) = match &job.status.state {
            JobState::Exited(_) => {
                let began = job.created_at.max(job.spec.not_before);
                let is_stable = job.status.since.since(began) >= STABLE_AFTER;
                let attempt = if is_stable { 1 } else { job.spec.attempt.saturating_add(1) };
                (attempt, setting.policy.backoff(attempt, job.id))
            }
            // The end of a node is nobody's failure.
            _ => (job.spec.attempt, std::time::Duration::ZERO),
        };
        let mut workload = job.spec.workload.clone();
        // The app may have been given another name since.
        if let Some(name) = name(ledger, app).filter(|name| *name != workload.app) {
            Arc::make_mut(&mut workload).app = name;
        }
        let successor = Job {
            workload,
            purpose: Purpose::Service { process: process.clone(), instance: *instance, deployment: *deployment },
            resources,
            attempt,
            not_before: setting.now + wait,
            node: None,
            desired: Desired::Up,
            ..job.spec.clone()
        };
        let id = ids.next(setting.now);
        ledger.create(id, job.team, successor);
        if !wait.is_zero() {
            let times = if attempt == 1 { "start" } else { "starts in a row" };
            let reason = format!("waits {:.1} s after {attempt} failed {times}", wait.as_secs_f32());
            ledger.report(id, JobStatus { state: JobState::Pending { reason }, since: setting.now });
        }
        ledger.remove(job.id);
        ledger.join(job.id, id);
    }
}

/// Puts an instance of the size that is wanted now in the place of each that waits for a node with another: what was
/// too large for every node would wait for ever.
pub(super) fn resized(ledger: &mut Ledger<'_>, setting: &Setting<'_>, ids: &mut Ids, app: AppId) {
    for job in ledger.jobs(app) {
        let Purpose::Service { process, .. } = &job.spec.purpose else {
            continue;
        };
        let is_waiting = job.spec.desired == Desired::Up && matches!(job.status.state, JobState::Pending { .. });
        let wanted = size(ledger, app, process).filter(|size| is_waiting && *size != job.spec.resources);
        let Some(resources) = wanted else {
            continue;
        };
        let id = ids.next(setting.now);
        ledger.create(id, job.team, Job { resources, ..job.spec.clone() });
        if job.spec.not_before > setting.now {
            // It goes on waiting for what it waits for.
            ledger.report(id, job.status.clone());
        }
        ledger.remove(job.id);
        ledger.join(job.id, id);
    }
}

/// Makes `count` instances of a process type of `release`.
pub(super) fn start(
    ledger: &mut Ledger<'_>,
    now: Timestamp,
    ids: &mut Ids,
    release: &Stored<Release>,
    process: &ProcessName,
    deployment: Option<DeploymentId>,
    count: u32,
) {
    let app = release.spec.app;
    let (Some(program), Some(name)) = (release.spec.processes.get(process), name(ledger, app)) else {
        return;
    };
    let workload = Arc::new(Workload {
        app: name,
        release: release.spec.number,
        image: release.spec.image,
        process: program.clone(),
        env: release.spec.env.clone(),
    });
    let resources = size(ledger, app, process).unwrap_or(DEFAULT_RESOURCES);
    let mut taken = numbers(&ledger.jobs(app), release.id, process);
    for _ in 0..count {
        let instance = lowest_outside(&taken);
        taken.insert(instance);
        let job = Job {
            app,
            release: release.id,
            purpose: Purpose::Service { process: process.clone(), instance, deployment },
            workload: workload.clone(),
            resources,
            attempt: 0,
            not_before: now,
            node: None,
            desired: Desired::Up,
        };
        ledger.create(ids.next(now), release.team, job);
    }
    ledger.rest_on::<App>(app, app);
}

fn name(ledger: &Ledger<'_>, app: AppId) -> Option<AppName> {
    ledger.objects().get(app).map(|app| app.spec.name.clone())
}

pub(super) fn size(ledger: &Ledger<'_>, app: AppId, process: &ProcessName) -> Option<Resources> {
    ledger.formation(app)?.spec.processes.get(process).map(|scale| scale.resources)
}

/// The instance numbers in use. One that ended keeps its number for its successor.
fn numbers(jobs: &[Arc<Stored<Job>>], release: ReleaseId, process: &ProcessName) -> BTreeSet<u32> {
    let numbers = jobs.iter().filter(|job| job.spec.release == release).filter_map(|job| match &job.spec.purpose {
        Purpose::Service { process: own, instance, .. } if own == process => Some(*instance),
        _ => None,
    });
    numbers.collect()
}

fn lowest_outside(taken: &BTreeSet<u32>) -> u32 {
    (1..)
        .zip(taken)
        .find(|(free, taken)| free != *taken)
        .map_or_else(|| u32::try_from(taken.len()).unwrap_or(u32::MAX).saturating_add(1), |(free, _)| free)
}
