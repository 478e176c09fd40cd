//! `flynn deployments`.

use clap::{Args, Subcommand};
use flynn_core::api::Deployment;
use flynn_core::client::Api;
use flynn_core::noun::DeploymentId;

use super::Count;
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the deployments of an app, or abort one
#[derive(Debug, Args)]
pub(crate) struct Deployments {
    #[command(flatten)]
    count: Count,
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
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
        Some(Change::Abort { id }) => {
            let id = match id {
                Some(id) => id,
                None => under_way(session, &api, &app).await?.id,
            };
            let deployment = session.wait("Aborting the deployment", api.abort_deployment(&app, id)).await?;
            session.output().show(&deployment, |_| match deployment.from {
                Some(number) => format!("The deployment goes back to v{number}.\n"),
                None => String::from("The deployment is being aborted.\n"),
            })
        }
    }
}

async fn under_way(session: &Session, api: &Api, app: &str) -> Result<Deployment, Failure> {
    let newest = Api::collect(1, async |page| api.deployments(app, &page).await);
    let newest = session.wait("Looking for the deployment", newest).await?;
    let open = newest.into_iter().find(|deployment| !deployment.ended);
    open.ok_or_else(|| Failure::not_found(format!("no deployment of {app} is under way; see `flynn deployments`")))
}
