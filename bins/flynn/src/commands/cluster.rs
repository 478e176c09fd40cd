//! `flynn cluster` and `flynn status`.

use clap::{Args, Subcommand};
use flynn_core::api::{Node, Whoami};
use flynn_core::client::{Api, Endpoint};
use serde::Serialize;

use super::ALL;
use crate::failure::Failure;
use crate::render;
use crate::session::{Session, connect};
use crate::settings;

/// Say which clusters there are
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Add a cluster
    Add {
        /// What you call it
        name: String,
        /// Such as http://flynn.example:7700
        url: String,
    },
    /// List the clusters
    List,
    /// Choose the cluster to use where none is named, or show it
    Default {
        /// The cluster
        name: Option<String>,
    },
    /// Forget a cluster and its token
    Remove {
        /// The cluster
        name: String,
    },
}

/// Show whether the cluster and its machines are well
#[derive(Debug, Args)]
pub(crate) struct Status {}

/// A cluster without its token.
#[derive(Debug, Serialize)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) default: bool,
    /// Whether there is a token for it.
    pub(crate) logged_in: bool,
}

#[derive(Debug, Serialize)]
struct Chosen {
    name: String,
    default: bool,
}

#[derive(Debug, Serialize)]
struct Removed {
    name: String,
    removed: bool,
}

fn known(session: &Session) -> Result<Vec<Known>, Failure> {
    let settings = session.settings()?;
    let default = settings.preferred().map(|cluster| cluster.name.as_str());
    let known = |cluster: &settings::Cluster| Known {
        name: cluster.name.clone(),
        url: cluster.url.clone(),
        default: default == Some(cluster.name.as_str()),
        logged_in: cluster.token.is_some(),
    };
    Ok(settings.clusters().iter().map(known).collect())
}

pub(super) fn run(session: &Session, command: Cluster) -> Result<(), Failure> {
    match command {
        Cluster::List => {
            let known = known(session)?;
            session.output().show(&known, |style| render::clusters(&known).render(style))
        }
        Cluster::Add { name, url } => {
            let url = url.trim_end_matches('/').to_owned();
            url.parse::<Endpoint>().map_err(|error| Failure::usage(error.to_string()))?;
            session.change_settings(|settings| {
                if settings.get(&name).is_some_and(|present| present.url != url) {
                    return Err(Failure::conflict(format!(
                        "there is a cluster `{name}` already; choose another name, or run `flynn cluster remove {name}`"
                    )));
                }
                let token = settings.get(&name).and_then(|present| present.token.clone());
                settings.put(settings::Cluster { name: name.clone(), url: url.clone(), token });
                Ok(())
            })?;
            let added = Known { name: name.clone(), url, default: false, logged_in: false };
            session.output().show(&added, |_| format!("Added {name}. Log in with `flynn login -c {name} --token`.\n"))
        }
        Cluster::Default { name: None } => {
            let known = known(session)?.into_iter().find(|cluster| cluster.default);
            let known = known.ok_or_else(|| {
                Failure::not_found("there is no default cluster; choose it with `flynn cluster default NAME`")
            })?;
            session.output().show(&known, |_| format!("{}\n", known.name))
        }
        Cluster::Default { name: Some(name) } => {
            session.change_settings(|settings| settings.set_default(&name))?;
            let chosen = Chosen { name: name.clone(), default: true };
            session.output().show(&chosen, |_| format!("{name} is the default cluster.\n"))
        }
        Cluster::Remove { name } => {
            session.change_settings(|settings| settings.remove(&name))?;
            let removed = Removed { name: name.clone(), removed: true };
            session.output().show(&removed, |_| format!("Forgot {name}.\n"))
        }
    }
}

/// How a cluster is.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    pub(crate) cluster: String,
    pub(crate) url: String,
    pub(crate) who: Whoami,
    pub(crate) nodes: Vec<Node>,
}

pub(super) async fn status(session: &Session) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let api = connect(&cluster)?;
    let asked = async {
        let who = api.whoami().await?;
        // The machines are the administrators' business.
        let nodes = if who.admin { Api::collect(ALL, async |page| api.nodes(&page).await).await? } else { Vec::new() };
        Ok((who, nodes))
    };
    let (who, nodes) = session.wait("Asking the cluster", asked).await?;
    let health = Health { cluster: cluster.name, url: cluster.url, who, nodes };
    session.output().show(&health, |style| render::health(&health, style))?;
    let bad: Vec<_> =
        health.nodes.iter().filter(|node| node.liveness != "ready").map(|node| node.name.as_str()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("not all machines are well: {}; see `flynn nodes`", bad.join(", "))))
}
