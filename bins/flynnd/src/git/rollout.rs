//! What becomes of a build that succeeded, as its pusher reads it.

use std::collections::BTreeMap;

use flynn_build::git::{PushOutput, Rejection};
use flynn_core::noun::{
    App, BuildId, Deployment, DeploymentState, Exit, Health, Job, JobState, Objects, Purpose, Release, ReleaseCause,
    Stored,
};
use flynn_core::{AppId, JobId, View};

use super::push::closed;

/// The way of one build from its release to the end of the deployment.
pub(super) struct Rollout {
    build: BuildId,
    app: AppId,
    /// What was said of each job last.
    jobs: BTreeMap<JobId, String>,
    /// What was said of the whole last.
    said: String,
}

/// What is there at the end.
pub(super) struct Live {
    /// Whether an instance of it answers requests.
    pub(super) serves: bool,
}

/// What there is to say at some moment, and whether that is the end.
struct Report {
    lines: Vec<String>,
    end: Option<Result<(u64, Live), Rejection>>,
}

impl Rollout {
    pub(super) fn of(build: BuildId, app: AppId) -> Self {
        Self { build, app, jobs: BTreeMap::new(), said: String::new() }
    }

    /// Tells the pusher what happens until the deployment has ended. Answers the number of the release.
    pub(super) async fn follow(mut self, view: &View, output: &dyn PushOutput) -> Result<(u64, Live), Rejection> {
        let mut changes = view.changes();
        loop {
            changes.mark_unchanged();
            let report = self.look(&view.snapshot().objects);
            for line in report.lines {
                output.line(&line).await;
            }
            if let Some(end) = report.end {
                return end;
            }
            changes.changed().await.map_err(|_| closed())?;
        }
    }

    fn look(&mut self, objects: &Objects) -> Report {
        let mut report = Report { lines: Vec::new(), end: None };
        let cause = ReleaseCause::Build(self.build);
        let Some(release) = objects.iter::<Release>().find(|release| release.spec.cause == cause).cloned() else {
            self.look_at_others(objects, &mut report);
            return report;
        };
        let number = release.spec.number;
        let deployment = objects.iter::<Deployment>().find(|deployment| deployment.spec.to == release.id);
        let Some(deployment) = deployment else { return report };
        for job in objects.iter::<Job>().filter(|job| is_part(job, deployment)) {
            self.look_at_job(job, number, &mut report);
        }
        report.end = match &deployment.status.state {
            DeploymentState::Done => Some(Ok((number, Live { serves: serves(&release, objects) }))),
            DeploymentState::Failed { reason } => {
                Some(Err(Rejection::new(format!("v{number} was not deployed: {reason}"))))
            }
            DeploymentState::RollingBack { reason } => {
                self.say(format!("v{number} is taken back: {reason}"), &mut report);
                None
            }
            DeploymentState::Paused { reason } => {
                self.say(format!("The deployment of v{number} is paused: {reason}"), &mut report);
                None
            }
            DeploymentState::Pending | DeploymentState::Running => None,
        };
        report
    }

    /// Without a release, the build waits for another deployment.
    fn look_at_others(&mut self, objects: &Objects, report: &mut Report) {
        if objects.get::<App>(self.app).is_none() {
            report.end = Some(Err(Rejection::new("the app was destroyed")));
            return;
        }
        let open = objects
            .iter::<Deployment>()
            .find(|deployment| deployment.spec.app == self.app && !deployment.status.state.is_end());
        if let Some(release) = open.and_then(|open| objects.get(open.spec.to)) {
            self.say(format!("Waiting for the deployment of v{} to end", release.spec.number), report);
        }
    }

    fn look_at_job(&mut self, job: &Stored<Job>, number: u64, report: &mut Report) {
        let Purpose::Service { process, instance, .. } = &job.spec.purpose else { return };
        let name = format!("{process}.{instance}");
        let line = match &job.status.state {
            JobState::Pending { .. } if job.status == Default::default() => return,
            JobState::Pending { reason } => format!("{name} waits: {reason}"),
            JobState::Assigned | JobState::Starting => format!("Starting {name} (v{number})"),
            JobState::Up { health: Health::Healthy, .. } => format!("{name} is up"),
            JobState::Up { health: Health::Unhealthy, .. } => format!("{name} does not pass its health check"),
            JobState::Stopping => return,
            JobState::Exited(exit) => format!("{name} ended: {}", in_words(exit)),
            JobState::Lost { reason } => format!("{name} was lost: {reason}"),
        };
        if self.jobs.get(&job.id) != Some(&line) {
            report.lines.push(line.clone());
            self.jobs.insert(job.id, line);
        }
    }

    fn say(&mut self, line: String, report: &mut Report) {
        if self.said != line {
            report.lines.push(line.clone());
            self.said = line;
        }
    }
}

fn is_part(job: &Stored<Job>, of: &Stored<Deployment>) -> bool {
    matches!(job.spec.purpose, Purpose::Service { deployment: Some(deployment), .. } if deployment == of.id)
        && job.spec.release == of.spec.to
}

fn serves(release: &Stored<Release>, objects: &Objects) -> bool {
    let is_up = |job: &Stored<Job>| matches!(job.status.state, JobState::Up { address: Some(_), .. });
    objects.iter::<Job>().any(|job| job.spec.release == release.id && is_up(job))
}

fn in_words(exit: &Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
        Exit::OutOfMemory => String::from("it used more memory than it has"),
        Exit::OutOfDisk { reason } => format!("it was killed: {reason}"),
        Exit::NotStarted { reason } => format!("it could not be started: {reason}"),
    }
}
