//! `flynn ps`, `restart` and `kill`.

use clap::Args;
use flynn_core::api::{self, Job, JobQuery, PageQuery};
use flynn_core::client::{Api, ApiError};

use super::ALL;
use super::follow::{self, Wait};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the processes of an app
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Also those that have ended, the newest of them
    #[arg(long)]
    all: bool,
}

/// Replace running instances
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Such as web or web.1; all if left out
    target: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

/// Stop a process; an instance of the formation is replaced
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Such as web.1, or its id
    process: String,
}

/// How many that ended are shown besides the others.
const ENDED: usize = 50;

pub(super) async fn list(session: &Session, command: Ps) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let mut jobs = session.wait("Listing processes", jobs(&api, &app, false, ALL)).await?;
    // An instance that ended is about to be replaced; a `run` that ended is over.
    jobs.retain(|job| command.all || job.process.is_some() || !matches!(job.state.as_str(), "exited" | "lost"));
    jobs.sort_by(|one, other| natural(&one.name).cmp(&natural(&other.name)).then(one.release.cmp(&other.release)));
    if command.all {
        let known = jobs.len();
        let all = session.wait("Listing processes", self::jobs(&api, &app, true, known + ENDED)).await?;
        jobs.extend(all.into_iter().filter(|job| !jobs.iter().any(|live| live.id == job.id)).collect::<Vec<_>>());
    }
    session.output().show(&jobs, |style| render::jobs(&jobs, session.now()).render(style))
}

/// The jobs of an app, with `ended` also those of the past.
pub(super) async fn jobs(api: &Api, app: &str, ended: bool, most: usize) -> Result<Vec<Job>, ApiError> {
    let query = |page: PageQuery| JobQuery { process: None, ended, cursor: page.cursor, limit: page.limit };
    Api::collect(most, async |page| api.jobs(app, &query(page)).await).await
}

/// `web.10` comes after `web.9`.
fn natural(name: &str) -> (&str, u32) {
    match name.rsplit_once('.') {
        Some((process, number)) => (process, number.parse().unwrap_or(u32::MAX)),
        None => (name, 0),
    }
}

/// The names of jobs in a row.
fn names(jobs: &[Job]) -> String {
    let mut names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    names.sort_by_key(|name| natural(name));
    names.join(", ")
}

pub(super) async fn restart(session: &Session, command: Restart) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let restart = api::Restart { target: command.target };
    let known = session.wait("Listing processes", jobs(&api, &app, false, ALL)).await?;
    let restarted = session.wait("Restarting", api.restart(&app, &restart)).await?;
    let mut instead = Vec::new();
    if command.wait.wait {
        follow::formation(session, &api, &app, &restarted.jobs).await?;
        let present = session.wait("Listing processes", jobs(&api, &app, false, ALL)).await?;
        let is_new = |job: &Job| job.process.is_some() && !known.iter().any(|old| old.id == job.id);
        instead = present.into_iter().filter(is_new).collect();
    }
    session.output().show(&restarted.jobs, |_| match (restarted.jobs.is_empty(), command.wait.wait) {
        (true, _) => format!("No process of {app} runs.\n"),
        (false, true) if instead.is_empty() => format!("Restarted {}.\n", names(&restarted.jobs)),
        (false, true) => format!("Restarted {}; in place: {}.\n", names(&restarted.jobs), names(&instead)),
        (false, false) => format!("Restarting {}.\n", names(&restarted.jobs)),
    })
}

pub(super) async fn kill(session: &Session, command: Kill) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let job = session.wait("Stopping the process", api.kill(&app, &command.process)).await?;
    session.output().show(&job, |_| format!("{} is being stopped.\n", job.name))
}
