//! `flynn nodes`.

use clap::{Args, Subcommand};
use flynn_core::client::Api;

use super::ALL;
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the machines of the cluster, show one, or move its work away
#[derive(Debug, Args)]
pub(crate) struct Nodes {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Show a machine
    Info {
        /// Its name or id
        node: String,
    },
    /// Move what a machine runs away, and give it nothing more
    Drain {
        /// Its name or id
        node: String,
    },
    /// Let a machine take work again
    Undrain {
        /// Its name or id
        node: String,
    },
}

pub(super) async fn run(session: &Session, command: Nodes) -> Result<(), Failure> {
    let api = session.api()?;
    match command.command {
        None => {
            let nodes = session.wait("Listing nodes", Api::collect(ALL, async |page| api.nodes(&page).await)).await?;
            session.output().show(&nodes, |style| render::nodes(&nodes).render(style))
        }
        Some(Change::Info { node }) => {
            let node = session.wait("Looking up the node", api.node(&node)).await?;
            session.output().show(&node, |style| render::node(&node, session.now()).render(style))
        }
        Some(Change::Drain { node }) => {
            let node = session.wait("Draining the node", api.drain_node(&node)).await?;
            session.output().show(&node, |_| {
                format!("What runs on {} moves away; {} processes are left. See `flynn nodes`.\n", node.name, node.jobs)
            })
        }
        Some(Change::Undrain { node }) => {
            let node = session.wait("Undraining the node", api.undrain_node(&node)).await?;
            session.output().show(&node, |_| format!("{} takes work.\n", node.name))
        }
    }
}
