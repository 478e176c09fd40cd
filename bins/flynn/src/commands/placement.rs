//! `flynn placement`: which machines instances may be on.

use clap::{Args, Subcommand};
use flynn_core::api::{Formation, FormationChange, Placement as Rules, ScaleChange};

use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// Show or change which machines the instances of a process type may be on
#[derive(Debug, Args)]
pub(crate) struct Placement {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Say where instances may be, in place of what was said before
    #[command(group = clap::ArgGroup::new("rules").required(true).multiple(true))]
    Set {
        /// Such as web
        #[arg(value_name = "TYPE")]
        process: String,
        /// What the labels of the machine must be like: 'zone = eu-1', 'zone != eu-1' or 'zone in eu-1, eu-2'
        #[arg(value_name = "CONSTRAINT", group = "rules")]
        constraints: Vec<String>,
        /// Keep the numbers of instances even over the values of this label, such as zone
        #[arg(long, value_name = "LABEL", group = "rules")]
        spread: Option<String>,
        /// At most so many instances on one machine
        #[arg(long, value_name = "COUNT", group = "rules")]
        per_node: Option<u32>,
    },
    /// Let instances be on any machine
    Clear {
        /// Such as web
        #[arg(value_name = "TYPE")]
        process: String,
    },
}

pub(super) async fn run(session: &Session, command: Placement) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let (process, rules) = match command.command {
        None => {
            let formation = session.wait("Reading the formation", api.formation(&app)).await?;
            return session.output().show(&formation, |style| render::placement(&formation).render(style));
        }
        Some(Change::Set { process, constraints, spread, per_node }) => {
            (process, Rules { constraints, spread, most_per_node: per_node })
        }
        Some(Change::Clear { process }) => (process, Rules::default()),
    };
    let scale = ScaleChange { placement: Some(rules), ..ScaleChange::default() };
    let change = FormationChange { processes: [(process.clone(), scale)].into() };
    let formation: Formation = session.wait("Setting the placement", api.change_formation(&app, &change)).await?;
    session.output().show(&formation, |style| {
        let mut text = render::placement(&formation).render(style);
        if style.aligned && formation.processes.get(&process).is_some_and(|scale| scale.up > 0) {
            text += &format!("What runs stays where it is until `flynn restart {process}`.\n");
        }
        text
    })
}
