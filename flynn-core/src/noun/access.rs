use std::fmt;

use crate::id::Id;
use crate::name::{TeamName, UserName};
use crate::noun::{AppId, NodeId, RouterId};
use crate::rule::{Claim, Footprint, Invalid, NounRules, Owner, check_text};
use crate::time::Timestamp;
use crate::value::hex;

/// The id of a [`Team`].
pub type TeamId = Id<Team>;

/// A tenant. Every object is owned by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its name, unique in the cluster.
    pub name: TeamName,
}

impl Id<Team> {
    /// Owner of what belongs to the cluster: nodes, routers, users, providers and teams themselves.
    pub const SYSTEM: Self = Self::NIL;
}

/// The id of a [`User`].
pub type UserId = Id<User>;

/// A person or an automaton that holds tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name, unique in the cluster.
    pub name: UserName,
    /// What the user may do to the cluster itself.
    pub standing: Standing,
}

/// What a user may do to the cluster itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Only what grants say.
    Member,
    /// Everything a person may do.
    Admin,
}

/// The id of a [`Grant`].
pub type GrantId = Id<Grant>;

/// The role of a user in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The user.
    pub user: UserId,
    /// The team. It owns the grant.
    pub team: TeamId,
    /// The role.
    pub role: Role,
}

/// What a user may do in a team. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, deploy, configure, scale.
    Developer,
    /// All that, and decide who is in the team.
    Owner,
}

/// The id of a [`Token`].
pub type TokenId = Id<Token>;

/// What a caller shows to prove who it is. Only its hash is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The SHA-256 of the secret.
    pub hash: TokenHash,
    /// What it opens.
    pub scope: TokenScope,
    /// What its owner calls it.
    pub label: String,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

/// The SHA-256 of a token's secret. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TokenHash(#[serde(with = "hex")] pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// What a token opens. A token of a user never opens more than the user may do when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenScope {
    /// All that the user may do.
    User(UserId),
    /// What the user may do in one team.
    Team(UserId, TeamId),
    /// What the user may do to one app.
    App(UserId, AppId),
    /// To be this node.
    Node(NodeId),
    /// To be this router.
    Router(RouterId),
}

impl TokenScope {
    /// The user behind the token, if it is a user's.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::User(user) | Self::Team(user, _) | Self::App(user, _) => Some(*user),
            Self::Node(_) | Self::Router(_) => None,
        }
    }
}

impl NounRules for Team {
    fn owner(&self) -> Owner {
        Owner::Cluster
    }

    fn footprint(&self, _: TeamId, (): &()) -> Footprint {
        Footprint { claims: vec![Claim::TeamName(self.name.clone())], ..Footprint::default() }
    }
}

impl NounRules for User {
    fn owner(&self) -> Owner {
        Owner::Cluster
    }

    fn footprint(&self, _: UserId, (): &()) -> Footprint {
        Footprint { claims: vec![Claim::UserName(self.name.clone())], ..Footprint::default() }
    }
}

impl NounRules for Grant {
    fn owner(&self) -> Owner {
        Owner::Team(self.team)
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if (self.user, self.team) != (next.user, next.team) {
            return Err(Invalid::new("user", "user and team of a grant are fixed: remove it and create another"));
        }
        Ok(())
    }

    fn footprint(&self, _: GrantId, (): &()) -> Footprint {
        Footprint {
            claims: vec![Claim::Grant(self.user, self.team)],
            references: vec![self.user.into(), self.team.into()],
            ..Footprint::default()
        }
    }
}

impl NounRules for Token {
    fn owner(&self) -> Owner {
        match self.scope {
            TokenScope::User(_) | TokenScope::Node(_) | TokenScope::Router(_) => Owner::Cluster,
            TokenScope::Team(_, team) => Owner::Team(team),
            // That of the app, which it refers to.
            TokenScope::App(..) => Owner::Any,
        }
    }

    fn validate(&self) -> Result<(), Invalid> {
        check_text("label", &self.label, 256)
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if (Self { label: self.label.clone(), ..next.clone() }) != *self {
            return Err(Invalid::new("token", "only the label of a token can change: revoke it and create another"));
        }
        Ok(())
    }

    fn footprint(&self, _: TokenId, (): &()) -> Footprint {
        let references = match self.scope {
            TokenScope::User(user) => vec![user.into()],
            TokenScope::Team(user, team) => vec![user.into(), team.into()],
            TokenScope::App(user, app) => vec![user.into(), app.into()],
            TokenScope::Node(node) => vec![node.into()],
            TokenScope::Router(router) => vec![router.into()],
        };
        Footprint { claims: vec![Claim::TokenHash(self.hash)], references, ..Footprint::default() }
    }
}
