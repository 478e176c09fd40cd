//! `flynn tokens`, `teams`, `members` and `audit`.

use clap::{Args, Subcommand, ValueEnum};
use flynn_core::api::{NewMember, NewTeam, NewToken, NewUser};
use flynn_core::client::Api;
use flynn_core::noun::TokenId;

use super::{ALL, Count};
use crate::failure::Failure;
use crate::render::{self, parse_span};
use crate::session::Session;

/// List the tokens that you may see, make or revoke one
#[derive(Debug, Args)]
pub(crate) struct Tokens {
    #[command(subcommand)]
    command: Option<TokenChange>,
}

#[derive(Debug, Subcommand)]
enum TokenChange {
    /// List the tokens that you may see
    List,
    /// Make a token, and print its secret this once
    Create {
        /// What it is called
        label: String,
        /// For this team alone
        #[arg(long, value_name = "TEAM", conflicts_with_all = ["only_app", "node"])]
        team: Option<String>,
        /// For this app alone
        #[arg(long = "for-app", value_name = "APP", conflicts_with = "node")]
        only_app: Option<String>,
        /// For this user, if that is another; where the user has a token already, it works only over the socket of the
        /// cluster's machine
        #[arg(long = "for-user", value_name = "USER", conflicts_with = "node")]
        user: Option<String>,
        /// To be this node
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
        /// After this time it opens nothing, such as 30d
        #[arg(long, value_name = "TIME", value_parser = parse_span)]
        expires_in: Option<std::time::Duration>,
    },
    /// Make a token open nothing from here on
    Revoke {
        /// Its id
        id: TokenId,
    },
}

/// List the teams that you may see, or create one
#[derive(Debug, Args)]
pub(crate) struct Teams {
    #[command(subcommand)]
    command: Option<TeamChange>,
}

#[derive(Debug, Subcommand)]
enum TeamChange {
    /// List the teams that you may see
    List,
    /// Create a team
    Create {
        /// Its name
        name: String,
    },
}

/// List the members of a team, add or remove one
#[derive(Debug, Args)]
pub(crate) struct Members {
    #[command(subcommand)]
    command: MemberChange,
}

#[derive(Debug, Subcommand)]
enum MemberChange {
    /// List the members of a team
    List {
        /// The team
        team: String,
    },
    /// Give a user a role in a team, or another one
    Add {
        /// The team
        team: String,
        /// The user
        user: String,
        /// What the user may do
        #[arg(long, default_value = "developer")]
        role: Role,
        /// Make the user first
        #[arg(long)]
        create: bool,
    },
    /// Take a user out of a team
    Remove {
        /// The team
        team: String,
        /// The user
        user: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Role {
    /// Look
    Viewer,
    /// Look, deploy, configure and scale
    Developer,
    /// All that, and decide who is in the team
    Owner,
}

impl Role {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Owner => "owner",
        }
    }
}

/// Show who changed what, the newest first
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(flatten)]
    count: Count,
}

#[derive(serde::Serialize)]
pub(super) struct Removed<'a> {
    pub(super) removed: &'a str,
}

pub(super) async fn tokens(session: &Session, command: Tokens) -> Result<(), Failure> {
    let api = session.api()?;
    match command.command {
        None | Some(TokenChange::List) => {
            let tokens =
                session.wait("Listing tokens", Api::collect(ALL, async |page| api.tokens(&page).await)).await?;
            session.output().show(&tokens, |style| render::tokens(&tokens, session.now()).render(style))
        }
        Some(TokenChange::Create { label, user, team, only_app, node, expires_in }) => {
            let expires_in_s = expires_in.map(|span| span.as_secs());
            let token = NewToken { label, user, team, app: only_app, node, expires_in_s };
            let issued = session.wait("Making the token", api.create_token(&token)).await?;
            session.output().show(&issued, |style| render::issued(&issued, style))
        }
        Some(TokenChange::Revoke { id }) => {
            session.wait("Revoking the token", api.revoke_token(id)).await?;
            let id = id.to_string();
            session.output().show(&Removed { removed: &id }, |_| format!("Revoked the token {id}.\n"))
        }
    }
}

pub(super) async fn teams(session: &Session, command: Teams) -> Result<(), Failure> {
    let api = session.api()?;
    match command.command {
        None | Some(TeamChange::List) => {
            let teams = session.wait("Listing teams", Api::collect(ALL, async |page| api.teams(&page).await)).await?;
            session.output().show(&teams, |style| render::teams(&teams, session.now()).render(style))
        }
        Some(TeamChange::Create { name }) => {
            let team = session.wait("Creating the team", api.create_team(&NewTeam { name })).await?;
            session.output().show(&team, |_| {
                format!("Created the team {}. Add members with `flynn members add {} USER`.\n", team.name, team.name)
            })
        }
    }
}

pub(super) async fn members(session: &Session, command: Members) -> Result<(), Failure> {
    let api = session.api()?;
    match command.command {
        MemberChange::List { team } => {
            let members = Api::collect(ALL, async |page| api.members(&team, &page).await);
            let members = session.wait("Listing members", members).await?;
            session.output().show(&members, |style| render::members(&members).render(style))
        }
        MemberChange::Add { team, user, role, create } => {
            if create {
                let user = NewUser { name: user.clone(), admin: false };
                session.wait("Creating the user", api.create_user(&user)).await?;
            }
            let member = NewMember { role: role.word().to_owned() };
            let member = session.wait("Adding the member", api.put_member(&team, &user, &member)).await?;
            session.output().show(&member, |_| format!("{} is {} of {team}.\n", member.user, member.role))
        }
        MemberChange::Remove { team, user } => {
            session.wait("Removing the member", api.remove_member(&team, &user)).await?;
            session.output().show(&Removed { removed: &user }, |_| format!("{user} is in {team} no more.\n"))
        }
    }
}

pub(super) async fn audit(session: &Session, command: &Audit) -> Result<(), Failure> {
    let api = session.api()?;
    let entries = Api::collect(command.count.most, async |page| api.audit(&page).await);
    let entries = session.wait("Reading the audit log", entries).await?;
    session.output().show(&entries, |style| render::audit(&entries, session.now()).render(style))
}
