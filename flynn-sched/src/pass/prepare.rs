//! The release command: what a release does once, before any of its instances is started.

use flynn_core::JobId;
use flynn_core::name::ProcessName;
use flynn_core::noun::{
    Deployment, DeploymentId, DeploymentStatus, Desired, Exit, Job, JobState, OneOffInput, ProcessType, Purpose,
    Release, Stored, Terminal, Workload,
};
use flynn_core::rule::{Usage, quota_of, within_quota};

use super::{Ledger, Setting, replace, stop};
use crate::deploy::Cause;

/// The process type whose command it is.
const RELEASE: &str = "release";

/// How far the release command is.
pub(super) enum Preparation {
    /// It has done its work, or there is none.
    Done,
    /// It has to end first.
    Waits,
    /// The release cannot serve.
    Failed(String),
}

/// The job of a deployment's release command. It has the id of the deployment, so there is never a second one.
pub(super) fn job_of(deployment: DeploymentId) -> JobId {
    JobId::from_uuid(deployment.uuid())
}

/// Goes on with the release command of a deployment that is to start instances.
pub(super) fn go_on(ledger: &mut Ledger<'_>, setting: &Setting<'_>, open: &Stored<Deployment>) -> Preparation {
    let release = ledger.objects().get(open.spec.to).cloned();
    let program =
        release.as_ref().and_then(|release| release.spec.processes.iter().find(|(name, _)| name.as_str() == RELEASE));
    let (Some(release), Some((name, program)), false) = (&release, program, open.status.prepared) else {
        return Preparation::Done;
    };
    let id = job_of(open.id);
    let Some(job) = ledger.objects().get(id).cloned() else {
        return begin(ledger, setting, id, release, name, program);
    };
    let failed = |cause: Cause| Some(format!("{cause}; see `flynn logs`"));
    let (now, policy) = (setting.now, &open.spec.policy);
    let (deadline, late) = match &job.status.state {
        JobState::Exited(Exit::Code(0)) => {
            ledger.report(open.id, DeploymentStatus { prepared: true, progressed_at: now, ..open.status.clone() });
            return Preparation::Done;
        }
        JobState::Exited(exit) => {
            let instance = "the release command".to_owned();
            (now, failed(Cause::Crashed { instance, exit: exit.clone(), times: 1 }))
        }
        JobState::Lost { reason } => (now, Some(format!("the release command was lost: {reason}"))),
        JobState::Pending { reason } => {
            let (within, instance) = (policy.start_deadline, "the release command".to_owned());
            let cause = Cause::NotPlaced { instance, reason: reason.clone(), within };
            (job.created_at + within, Some(cause.to_string()))
        }
        _ => {
            let within = policy.progress_deadline;
            let text = format!("the release command did not end within {} s", within.as_secs());
            (job.created_at + within, failed(Cause::Judged(text)))
        }
    };
    match late.filter(|_| now >= deadline) {
        Some(reason) => {
            stop::begin(ledger, setting, id);
            Preparation::Failed(reason)
        }
        None => {
            ledger.look_again(deadline);
            Preparation::Waits
        }
    }
}

/// Ends the release command of a deployment that goes back.
pub(super) fn stop(ledger: &mut Ledger<'_>, setting: &Setting<'_>, deployment: DeploymentId) {
    stop::begin(ledger, setting, job_of(deployment));
}

fn begin(
    ledger: &mut Ledger<'_>,
    setting: &Setting<'_>,
    id: JobId,
    release: &Stored<Release>,
    name: &ProcessName,
    program: &ProcessType,
) -> Preparation {
    let (app, team) = (release.spec.app, release.team);
    let Some(owner) = ledger.objects().get(app).map(|app| app.spec.name.clone()) else {
        return Preparation::Waits;
    };
    let workload = Workload {
        app: owner,
        release: release.spec.number,
        image: release.spec.image,
        process: program.clone(),
        env: release.spec.env.clone(),
    };
    let job = Job {
        app,
        release: release.id,
        purpose: Purpose::OneOff { terminal: Terminal::None, input: OneOffInput::Closed },
        workload: workload.into(),
        resources: replace::size(ledger, app, name).unwrap_or(super::DEFAULT_RESOURCES),
        attempt: 0,
        not_before: setting.now,
        node: None,
        desired: Desired::Up,
    };
    let before = Usage::of(team, ledger.objects());
    ledger.create(id, team, job);
    let after = Usage::of(team, ledger.objects());
    match within_quota(&quota_of(team, ledger.objects()), &before, &after) {
        Ok(()) => Preparation::Waits,
        Err(over) => {
            ledger.remove(id);
            Preparation::Failed(format!("the release command would be too much: {over}"))
        }
    }
}
