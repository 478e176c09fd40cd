//! `flynn nodes`.

use clap::{Args, Subcommand};
use flynn_core::api::NodeChange;
use flynn_core::client::Api;

use super::ALL;
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the machines of the cluster, show one, label it, or move its work away
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
    /// Label a machine, so that placement can ask for it. Takes an administrator
    Label {
        /// Its name or id
        node: String,
        /// Such as zone=eu-1; `zone-` takes the label away
        #[arg(required = true, value_name = "LABEL=VALUE", value_parser = label)]
        labels: Vec<(String, Option<String>)>,
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

fn label(text: &str) -> Result<(String, Option<String>), String> {
    match (text.split_once('='), text.strip_suffix('-')) {
        (Some((label, value)), _) => Ok((label.to_owned(), Some(value.to_owned()))),
        (None, Some(label)) => Ok((label.to_owned(), None)),
        (None, None) => Err(String::from("write LABEL=VALUE such as zone=eu-1, or `zone-` to take the label away")),
    }
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
        Some(Change::Label { node, labels }) => {
            let change = NodeChange { labels: labels.into_iter().collect() };
            let node = session.wait("Labelling the node", api.change_node(&node, &change)).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_set_and_taken_away() {
        assert_eq!(label("zone=eu-1"), Ok(("zone".into(), Some("eu-1".into()))));
        assert_eq!(label("zone="), Ok(("zone".into(), Some(String::new()))));
        assert_eq!(label("zone-"), Ok(("zone".into(), None)));
        assert!(label("zone").is_err());
    }
}
