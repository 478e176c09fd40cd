//! Waiting until what was asked for is so.

use std::time::Duration;

use clap::Args;
use flynn_core::api::{Build, Deployment, Formation, Job};
use flynn_core::client::{Api, LogNews};
use flynn_core::noun::DeploymentId;
use tokio::time::Instant;

use super::changes::Changes;
use super::{ALL, processes};
use crate::failure::Failure;
use crate::session::Session;

/// Whether a command ends before its work is live.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    /// Do not wait until it is live
    #[arg(long = "no-wait", action = clap::ArgAction::SetFalse)]
    pub(crate) wait: bool,
}

/// How often instances are looked at that wait for a node, and how long one may wait before that is said.
const LOOK: Duration = Duration::from_secs(1);
/// How long instances may stay unplaced, and in all take to come up.
const PLACEMENT: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);
/// How many failures in a row are taken for a program that does not work.
const ATTEMPTS: u32 = 3;

/// Follows a deployment to its end.
///
/// # Errors
/// It failed, with its reason, or the cluster cannot be asked.
pub(super) async fn deployment(
    session: &Session,
    api: &Api,
    app: &str,
    id: DeploymentId,
) -> Result<Deployment, Failure> {
    let progress = session.output().progress("Deploying");
    let mut waits = Waits::new();
    let ended = async {
        let mut changes = Changes::of(api, app).await;
        loop {
            let deployment = api.deployment(app, id).await?;
            if deployment.ended {
                return Ok::<_, Failure>(deployment);
            }
            progress.say(crate::render::deploying(&deployment));
            if waits.is_due() {
                let jobs = processes::jobs(api, app, false, ALL).await?;
                if let Some(text) = waits.news(&jobs, id) {
                    progress.remark(session.output(), &text);
                }
            }
            changes.next().await;
        }
    };
    let deployment = progress.during(ended).await?;
    if deployment.state == "done" {
        return Ok(deployment);
    }
    let reason = deployment.reason.as_deref().unwrap_or("no reason is known");
    let target = deployment.to.map_or(String::from("the release"), |number| format!("v{number}"));
    let serving =
        deployment.from.map_or(String::from("no release serves"), |number| format!("v{number} goes on serving"));
    Err(Failure::failed(format!("the deployment of {target} failed: {reason}; {serving}")))
}

/// Shows the log of a build until that has ended. In `--json` its lines are left out.
///
/// # Errors
/// The cluster cannot be asked.
pub(super) async fn build_log(session: &Session, api: &Api, app: &str, number: u64) -> Result<Build, Failure> {
    let output = session.output();
    let progress = output.progress(format!("Building {number}"));
    let mut logs = progress.during(api.build_logs(app, &number.to_string())).await?;
    while let Some(event) = progress.during(logs.next()).await? {
        match event {
            LogNews::Line(line) if output.is_json() => progress.say(line.text),
            LogNews::Line(line) if output.style().aligned => output.say(&crate::render::harmless(&line.text))?,
            LogNews::Line(line) => output.say(&line.text)?,
            LogNews::Notice(text) | LogNews::End(text) => output.remark(&text),
            LogNews::Built(build) => return Ok(*build),
            _ => {}
        }
    }
    Ok(api.build(app, number).await?)
}

/// Follows a build to its end, with its log.
///
/// # Errors
/// It failed, with the step and its reason, or the cluster cannot be asked.
pub(super) async fn build(session: &Session, api: &Api, app: &str, number: u64) -> Result<Build, Failure> {
    let mut build = match build_log(session, api, app, number).await {
        // A log that broke off is no reason to know nothing of the build.
        Err(failure) if failure.is_unreachable() => api.build(app, number).await?,
        followed => followed?,
    };
    let progress = session.output().progress(format!("Building {number}"));
    let ended = async {
        if build.ended {
            return Ok(build);
        }
        let mut changes = Changes::of(api, app).await;
        loop {
            build = api.build(app, number).await?;
            let reason = build.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            progress.say(format!("Build {number} is {}{reason}", build.state));
            if build.ended {
                return Ok::<_, Failure>(build);
            }
            changes.next().await;
        }
    };
    let build = progress.during(ended).await?;
    if build.state == "succeeded" {
        return Ok(build);
    }
    let reason = build.reason.as_deref().unwrap_or("no reason is known");
    let step = build.step.as_deref().map_or(String::new(), |step| format!(" at the step `{step}`"));
    Err(match build.state.as_str() {
        "cancelled" => Failure::failed(format!("build {number} was cancelled; nothing was deployed")),
        _ => Failure::failed(format!(
            "build {number} failed{step}: {reason}; nothing was deployed; see `flynn builds logs {number}`"
        )),
    })
}

/// Follows the deployment of what a build made to its end.
///
/// # Errors
/// It failed, with its reason, or the cluster cannot be asked.
pub(super) async fn deployment_of(
    session: &Session,
    api: &Api,
    app: &str,
    build: &Build,
) -> Result<Deployment, Failure> {
    const NEWEST: usize = 20;
    let begun = async {
        let (started, mut changes) = (Instant::now(), Changes::of(api, app).await);
        loop {
            let release = api.build(app, build.number).await?.release;
            let newest = Api::collect(NEWEST, async |page| api.deployments(app, &page).await).await?;
            if let Some(deployment) =
                newest.into_iter().find(|deployment| release.is_some() && deployment.to == release)
            {
                return Ok::<_, Failure>(deployment);
            }
            if started.elapsed() > LONGEST {
                return Err(Failure::failed(format!(
                    "build {} succeeded, but no deployment of it has begun; is the controller running? See `flynn deployments`",
                    build.number
                )));
            }
            changes.next().await;
        }
    };
    let begun = session.output().progress("Releasing").during(begun).await?;
    deployment(session, api, app, begun.id).await
}

/// Follows the instances of an app until as many are up as there are to be, and those of `gone` have ended.
///
/// # Errors
/// Instances cannot be placed or do not come up, with the reasons, or the cluster cannot be asked.
pub(super) async fn formation(session: &Session, api: &Api, app: &str, gone: &[Job]) -> Result<Formation, Failure> {
    let progress = session.output().progress("Waiting for the instances");
    let reached = async {
        let (started, mut changes) = (Instant::now(), Changes::of(api, app).await);
        loop {
            let formation = api.formation(app).await?;
            let jobs = processes::jobs(api, app, false, ALL).await?;
            match verdict(&formation, &jobs, gone, started.elapsed()) {
                Verdict::Reached => return Ok::<_, Failure>(formation),
                Verdict::Hopeless(reason) => return Err(Failure::failed(reason)),
                Verdict::Wait(text) => progress.say(text),
            }
            changes.next().await;
        }
    };
    progress.during(reached).await
}

/// Why instances of a deployment wait for a node, said once for each reason.
#[derive(Debug)]
struct Waits {
    looked: Instant,
    /// Since when one waits.
    since: Option<Instant>,
    said: String,
}

impl Waits {
    fn new() -> Self {
        Self { looked: Instant::now(), since: None, said: String::new() }
    }

    /// Whether it is time to look at the instances.
    fn is_due(&mut self) -> bool {
        let is_due = self.looked.elapsed() >= LOOK;
        if is_due {
            self.looked = Instant::now();
        }
        is_due
    }

    /// What there is to say of these jobs.
    fn news(&mut self, jobs: &[Job], deployment: DeploymentId) -> Option<String> {
        let of_it = jobs.iter().filter(|job| job.deployment == Some(deployment) && job.state == "pending");
        let mut reasons = of_it.filter_map(|job| Some(format!("{} is pending: {}", job.name, job.reason.as_ref()?)));
        let Some(text) = reasons.next() else {
            self.since = None;
            return None;
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < LOOK || text == self.said {
            return None;
        }
        self.said.clone_from(&text);
        Some(text)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Reached,
    Wait(String),
    Hopeless(String),
}

/// Whether there is more to wait for.
fn verdict(formation: &Formation, jobs: &[Job], gone: &[Job], waited: Duration) -> Verdict {
    let live = |job: &&Job| !matches!(job.state.as_str(), "exited" | "lost");
    let stopping = jobs.iter().filter(live).filter(|job| gone.iter().any(|old| old.id == job.id)).count();
    let counts = formation.processes.values();
    let (up, wanted) = counts.fold((0, 0), |(up, wanted), scale| (up + scale.up, wanted + scale.count));
    if stopping == 0 && formation.processes.values().all(|scale| scale.up == scale.count) {
        return Verdict::Reached;
    }
    let of_formation = |job: &&Job| job.process.is_some() && job.desired == "up";
    let waiting = jobs.iter().filter(live).filter(of_formation).find(|job| job.state != "up");
    let because = |job: &Job| job.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    if let Some(job) = jobs.iter().filter(of_formation).find(|job| job.state != "up" && job.attempt >= ATTEMPTS) {
        return Verdict::Hopeless(format!(
            "{} failed {} times in a row{}; see `flynn logs -p {}`",
            job.name,
            job.attempt,
            because(job),
            job.process.as_deref().unwrap_or_default()
        ));
    }
    if let Some(job) = waiting.filter(|job| job.state == "pending" && waited > PLACEMENT) {
        return Verdict::Hopeless(format!("{} is not placed{}; it is tried again and again", job.name, because(job)));
    }
    if waited > LONGEST {
        return Verdict::Hopeless(format!(
            "{up} of {wanted} instances are up after {} s; see `flynn ps`",
            waited.as_secs()
        ));
    }
    let detail = waiting.map_or(String::new(), |job| format!("; {} is {}{}", job.name, job.state, because(job)));
    Verdict::Wait(format!("{up} of {wanted} instances are up{detail}"))
}

#[cfg(test)]
mod tests {
    use flynn_core::Id;
    use flynn_core::api::{Placement, ProcessScale};

    use super::*;
    use crate::render::samples;

    fn formation(count: u32, up: u32) -> Formation {
        let placement = Placement::default();
        let scale = ProcessScale { count, up, cpu_millis: 0, memory_bytes: 0, disk_bytes: 0, pids: 0, placement };
        Formation { app: Id::NIL, processes: [("web".into(), scale)].into(), version: 1 }
    }

    #[test]
    fn what_is_up_is_reached_once_the_old_ones_are_gone() {
        let old = Job { desired: "down".into(), ..samples::job("web.1", "stopping") };
        assert_eq!(verdict(&formation(2, 2), &[], &[], Duration::ZERO), Verdict::Reached);
        assert_eq!(verdict(&formation(0, 0), &[], std::slice::from_ref(&old), Duration::ZERO), Verdict::Reached);
        let waits = verdict(&formation(1, 1), std::slice::from_ref(&old), std::slice::from_ref(&old), Duration::ZERO);
        assert_eq!(waits, Verdict::Wait("1 of 1 instances are up".into()));
        assert_eq!(
            verdict(&formation(1, 2), &[], &[], Duration::ZERO),
            Verdict::Wait("2 of 1 instances are up".into())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_a_node_is_explained_once_it_lasts() {
        let (id, mut waits) = (Id::NIL, Waits::new());
        let mut job = samples::job("web.1", "pending");
        (job.deployment, job.reason) = (Some(id), Some("no node has 1 GiB of memory left".into()));
        assert!(!waits.is_due());
        tokio::time::advance(LOOK).await;
        assert!(waits.is_due());
        assert_eq!(waits.news(std::slice::from_ref(&job), id), None, "perhaps it is short");
        tokio::time::advance(LOOK).await;
        let said = waits.news(std::slice::from_ref(&job), id);
        assert_eq!(said.as_deref(), Some("web.1 is pending: no node has 1 GiB of memory left"));
        assert_eq!(waits.news(std::slice::from_ref(&job), id), None, "once");
        let other = Job { deployment: None, ..job };
        assert_eq!(waits.news(&[other], id), None, "of another deployment");
    }

    #[test]
    fn what_cannot_come_up_is_given_up_with_its_reason() {
        let mut job = samples::job("web.2", "pending");
        job.reason = Some("n1: not enough memory".into());
        let check = |job: &Job, waited: u64, expect: Verdict| {
            assert_eq!(verdict(&formation(2, 1), std::slice::from_ref(job), &[], Duration::from_secs(waited)), expect);
        };
        check(&job, 1, Verdict::Wait("1 of 2 instances are up; web.2 is pending: n1: not enough memory".into()));
        check(
            &job,
            31,
            Verdict::Hopeless("web.2 is not placed: n1: not enough memory; it is tried again and again".into()),
        );
        let crashing = Job { state: "starting".into(), reason: None, attempt: 3, ..job };
        check(&crashing, 1, Verdict::Hopeless("web.2 failed 3 times in a row; see `flynn logs -p web`".into()));
        let slow = Job { attempt: 0, ..crashing };
        check(&slow, 601, Verdict::Hopeless("1 of 2 instances are up after 601 s; see `flynn ps`".into()));
    }
}
