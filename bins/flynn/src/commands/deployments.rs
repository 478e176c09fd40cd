//! `flynn deployments`.

use clap::{Args, Subcommand};
use flynn_core::api::AppChange;
use flynn_core::client::Api;
use flynn_core::noun::DeploymentId;

use super::Count;
use super::deploy_mode::{Setting, mode, setting};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the deployments of an app, hold one, abort it, or say how the next ones go
#[derive(Debug, Args)]
pub(crate) struct Deployments {
    #[command(flatten)]
    count: Count,
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Hold a deployment where it is; what is lost is still replaced
    Pause {
        /// Its id; the one under way if left out
        id: Option<DeploymentId>,
    },
    /// Let a deployment that is held go on
    Resume {
        /// Its id; the one under way if left out
        id: Option<DeploymentId>,
    },
    /// Say how deployments go from the next one on
    Set {
        /// How instances are replaced: one-by-one, one-down-one-up, in-batches, all-at-once, or usual
        strategy: String,
        /// Such as batch=25%, max-extra=1, max-missing=10%, healthy-for=10s, start-deadline=2m, progress-deadline=10m,
        /// on-failure=pause; what is left out is as usual
        #[arg(value_name = "WHAT=VALUE", value_parser = setting)]
        settings: Vec<Setting>,
    },
    /// Let a deployment go back to the release that served before
    Abort {
        /// Its id; the one under way if left out
        id: Option<DeploymentId>,
    },
}

pub(super) async fn run(session: &Session, command: Deployments) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    match command.command {
        None => {
            let deployments = Api::collect(command.count.most, async |page| api.deployments(&app, &page).await);
            let deployments = session.wait("Listing deployments", deployments).await?;
            session.output().show(&deployments, |style| render::deployments(&deployments, session.now()).render(style))
        }
        Some(Change::Set { strategy, settings }) => {
            let change = AppChange { deploys: Some(mode(&strategy, settings)), ..AppChange::default() };
            let app = session.wait("Changing the app", api.change_app(&app, &change)).await?;
            session.output().show(&app, |_| format!("Deployments of {} go {}.\n", app.name, render::mode(&app)))
        }
        Some(Change::Pause { id }) => {
            let id = meant(session, &api, &app, id).await?;
            let deployment = session.wait("Pausing the deployment", api.pause_deployment(&app, id)).await?;
            session.output().show(&deployment, |_| {
                String::from("The deployment is held. `flynn deployments resume` lets it go on.\n")
            })
        }
        Some(Change::Resume { id }) => {
            let id = meant(session, &api, &app, id).await?;
            let deployment = session.wait("Resuming the deployment", api.resume_deployment(&app, id)).await?;
            session.output().show(&deployment, |_| String::from("The deployment goes on.\n"))
        }
        Some(Change::Abort { id }) => {
            let id = meant(session, &api, &app, id).await?;
            let deployment = session.wait("Aborting the deployment", api.abort_deployment(&app, id)).await?;
            session.output().show(&deployment, |_| match deployment.from {
                Some(number) => format!("The deployment goes back to v{number}.\n"),
                None => String::from("The deployment is being aborted.\n"),
            })
        }
    }
}

async fn meant(session: &Session, api: &Api, app: &str, id: Option<DeploymentId>) -> Result<DeploymentId, Failure> {
    if let Some(id) = id {
        return Ok(id);
    }
    let newest = Api::collect(1, async |page| api.deployments(app, &page).await);
    let newest = session.wait("Looking for the deployment", newest).await?;
    let open = newest.into_iter().find(|deployment| !deployment.ended);
    open.map(|open| open.id)
        .ok_or_else(|| Failure::not_found(format!("no deployment of {app} is under way; see `flynn deployments`")))
}
