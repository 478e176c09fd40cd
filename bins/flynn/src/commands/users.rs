//! `flynn users`: who can log in.

use clap::{Args, Subcommand};
use flynn_core::api::{IssuedToken, Member, NewMember, NewToken, NewUser, PageQuery, User};
use flynn_core::client::Api;
use serde::Serialize;

use super::ALL;
use super::access::{Removed, Role};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the users that you may see, add or remove one
#[derive(Debug, Args)]
pub(crate) struct Users {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// List the users that you may see: those in your teams, and for an administrator all
    List,
    /// Make a user, and print the token of their first login this once. Takes an administrator
    Add {
        /// Their name
        name: String,
        /// Let them do everything that a person may do in the cluster
        #[arg(long)]
        admin: bool,
        /// The team that they are to be in
        #[arg(long, value_name = "TEAM")]
        team: Option<String>,
        /// What they may do in that team
        #[arg(long, default_value = "developer", requires = "team")]
        role: Role,
    },
    /// Remove a user with all their tokens and roles. Takes an administrator
    Remove {
        /// Their name
        name: String,
    },
}

/// What was made for a user.
#[derive(Debug, Serialize)]
struct Added {
    user: User,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<Member>,
    #[serde(flatten)]
    issued: IssuedToken,
}

pub(super) async fn run(session: &Session, command: Users) -> Result<(), Failure> {
    let api = session.api()?;
    match command.command {
        None | Some(Change::List) => {
            let users = session.wait("Listing users", Api::collect(ALL, async |page| api.users(&page).await)).await?;
            session.output().show(&users, |style| render::users(&users, session.now()).render(style))
        }
        Some(Change::Add { name, admin, team, role }) => {
            let added =
                session.output().progress("Adding the user").during(add(&api, &name, admin, team, role)).await?;
            let url = session.cluster()?.url;
            session.output().show(&added, |style| render::first_token(&added.issued, &name, &url, style))
        }
        Some(Change::Remove { name }) => {
            session.wait("Removing the user", api.remove_user(&name)).await?;
            session
                .output()
                .show(&Removed { removed: &name }, |_| format!("Removed {name}. Their tokens open nothing any more.\n"))
        }
    }
}

async fn add(api: &Api, name: &str, admin: bool, team: Option<String>, role: Role) -> Result<Added, Failure> {
    if let Some(team) = &team {
        // A team that is not there is told before anything is made.
        api.members(team, &PageQuery::default()).await?;
    }
    let user = api.create_user(&NewUser { name: name.to_owned(), admin }).await?;
    let rest = async {
        let member = match &team {
            Some(team) => Some(api.put_member(team, name, &NewMember { role: role.word().to_owned() }).await?),
            None => None,
        };
        let label = format!("the first login of {name}");
        let issued = api.create_token(&NewToken { label, user: Some(name.to_owned()), ..NewToken::default() }).await?;
        Ok::<_, Failure>((member, issued))
    };
    let (member, issued) = rest.await.map_err(|failure| {
        failure.hint(&format!("the user was made; take it back with `flynn users remove {name}`"))
    })?;
    Ok(Added { user, member, issued })
}
