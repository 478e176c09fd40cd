//! `flynn domains`.

use clap::{Args, Subcommand};
use flynn_core::api::NewDomain;
use flynn_core::client::Api;

use super::ALL;
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the hosts that reach an app, add or remove one
#[derive(Debug, Args)]
pub(crate) struct Domains {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Let requests for a host reach the app
    Add {
        /// A name, or `*.` and a name for all hosts directly below it
        host: String,
    },
    /// Take a host away from the app
    Remove {
        /// The host
        host: String,
    },
}

pub(super) async fn run(session: &Session, command: Domains) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    match command.command {
        None => {
            let domains = Api::collect(ALL, async |page| api.domains(&app, &page).await);
            let domains = session.wait("Listing domains", domains).await?;
            session.output().show(&domains, |style| render::domains(&domains).render(style))
        }
        Some(Change::Add { host }) => {
            let domain = session.wait("Adding the domain", api.add_domain(&app, &NewDomain { host })).await?;
            session
                .output()
                .show(&domain, |_| format!("{} reaches {app}. Point its DNS record to the cluster.\n", domain.host))
        }
        Some(Change::Remove { host }) => {
            session.wait("Removing the domain", api.remove_domain(&app, &host)).await?;
            session.output().show(&NewDomain { host: host.clone() }, |_| format!("{host} reaches {app} no more.\n"))
        }
    }
}
