//! `flynn builds`.

use clap::{Args, Subcommand};
use flynn_core::api::Build;
use flynn_core::client::Api;

use super::{Count, follow};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the builds of an app, read the log of one or cancel it
#[derive(Debug, Args)]
pub(crate) struct Builds {
    #[command(flatten)]
    count: Count,
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Show what a build wrote, and go on until it has ended
    #[command(alias = "log")]
    Logs {
        /// Its number; the newest if left out
        number: Option<u64>,
    },
    /// Stop a build
    Cancel {
        /// Its number; the one under way if left out
        number: Option<u64>,
    },
}

pub(super) async fn run(session: &Session, command: Builds) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    match command.command {
        None => {
            let builds = Api::collect(command.count.most, async |page| api.builds(&app, &page).await);
            let builds = session.wait("Listing builds", builds).await?;
            session.output().show(&builds, |style| render::builds(&builds, session.now()).render(style))
        }
        Some(Change::Logs { number }) => {
            let number = match number {
                Some(number) => number,
                None => newest(session, &api, &app)
                    .await?
                    .map(|build| build.number)
                    .ok_or_else(|| Failure::not_found(format!("{app} has no builds yet; deploy something")))?,
            };
            let build = follow::build_log(session, &api, &app, number).await?;
            if session.output().is_json() { session.output().show(&build, |_| String::new()) } else { Ok(()) }
        }
        Some(Change::Cancel { number }) => {
            let number = match number {
                Some(number) => number,
                None => under_way(session, &api, &app).await?,
            };
            let build = session.wait("Cancelling the build", api.cancel_build(&app, number)).await?;
            session.output().show(&build, |_| format!("Build {number} is being cancelled.\n"))
        }
    }
}

async fn newest(session: &Session, api: &Api, app: &str) -> Result<Option<Build>, Failure> {
    let newest = Api::collect(1, async |page| api.builds(app, &page).await);
    Ok(session.wait("Looking for the build", newest).await?.pop())
}

async fn under_way(session: &Session, api: &Api, app: &str) -> Result<u64, Failure> {
    let open = newest(session, api, app).await?.filter(|build| !build.ended);
    open.map(|build| build.number)
        .ok_or_else(|| Failure::not_found(format!("no build of {app} is under way; see `flynn builds`")))
}
