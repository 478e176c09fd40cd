//! `flynn releases` and `flynn rollback`.

use clap::{Args, Subcommand};
use flynn_core::api;
use flynn_core::client::Api;

use super::Count;
use super::follow::{self, Wait};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the releases of an app, or show one
#[derive(Debug, Args)]
pub(crate) struct Releases {
    #[command(flatten)]
    count: Count,
    #[command(subcommand)]
    command: Option<Show>,
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Show a release
    #[command(alias = "show")]
    Info {
        /// Such as v3; the one that serves if left out
        #[arg(value_parser = release_number)]
        release: Option<u64>,
    },
}

/// Go back to an earlier release
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Such as v3; the one before the one that serves if left out
    #[arg(value_parser = release_number)]
    release: Option<u64>,
    #[command(flatten)]
    wait: Wait,
}

/// Reads `v3` or `3`.
fn release_number(text: &str) -> Result<u64, String> {
    text.strip_prefix('v').unwrap_or(text).parse().map_err(|_| String::from("a release is v and a number, such as v3"))
}

pub(super) async fn run(session: &Session, command: Releases) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    match command.command {
        None => {
            let releases = Api::collect(command.count.most, async |page| api.releases(&app, &page).await);
            let releases = session.wait("Listing releases", releases).await?;
            session.output().show(&releases, |style| render::releases(&releases, session.now()).render(style))
        }
        Some(Show::Info { release }) => {
            let number = match release {
                Some(number) => number,
                None => serving(session, &api, &app).await?,
            };
            let release = session.wait("Looking up the release", api.release(&app, number)).await?;
            session.output().show(&release, |style| render::release(&release, session.now()).render(style))
        }
    }
}

async fn serving(session: &Session, api: &Api, name: &str) -> Result<u64, Failure> {
    let app = session.wait("Looking up the app", api.app(name)).await?;
    app.release.ok_or_else(|| Failure::not_found(format!("{name} has no release that serves yet; deploy one")))
}

pub(super) async fn roll_back(session: &Session, command: Rollback) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let to = api::Rollback { release: command.release };
    let mut released = session.wait("Rolling back", api.roll_back(&app, &to)).await?;
    if command.wait.wait {
        released.deployment = follow::deployment(session, &api, &app, released.deployment.id).await?;
    }
    session.output().show(&released, |_| {
        let release = &released.release;
        let how = if command.wait.wait { "is live" } else { "is being deployed" };
        format!("v{} {how}: {}\n", release.number, release.description)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_named_with_or_without_their_letter() {
        assert_eq!((release_number("v42"), release_number("42")), (Ok(42), Ok(42)));
        assert!(["", "v", "v-1", "x3", "vv3"].iter().all(|bad| release_number(bad).is_err()));
    }
}
