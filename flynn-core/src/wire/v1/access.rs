use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::{TeamName, UserName};
use crate::noun::{
    AppId, Grant, NodeId, Role, RouterId, Standing, Team, TeamId, Token, TokenHash, TokenScope, User, UserId,
};
use crate::time::Timestamp;

forms! {
    mirror Team => TeamForm,
    mirror User => UserForm,
    mirror Standing => StandingForm,
    mirror Grant => GrantForm,
    mirror Role => RoleForm,
    mirror Token => TokenForm,
    convert TokenScope => TokenScopeForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Team")]
struct TeamForm {
    name: TeamName,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "User")]
struct UserForm {
    name: UserName,
    #[serde(with = "form")]
    standing: Standing,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Standing", rename_all = "snake_case")]
enum StandingForm {
    Member,
    Admin,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Grant")]
struct GrantForm {
    user: UserId,
    team: TeamId,
    #[serde(with = "form")]
    role: Role,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Role", rename_all = "snake_case")]
enum RoleForm {
    Viewer,
    Developer,
    Owner,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Token")]
struct TokenForm {
    hash: TokenHash,
    #[serde(with = "form")]
    scope: TokenScope,
    label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TokenScopeForm {
    User { user: UserId },
    Team { user: UserId, team: TeamId },
    App { user: UserId, app: AppId },
    Node { node: NodeId },
    Router { router: RouterId },
}

impl From<&TokenScope> for TokenScopeForm {
    fn from(scope: &TokenScope) -> Self {
        match *scope {
            TokenScope::User(user) => Self::User { user },
            TokenScope::Team(user, team) => Self::Team { user, team },
            TokenScope::App(user, app) => Self::App { user, app },
            TokenScope::Node(node) => Self::Node { node },
            TokenScope::Router(router) => Self::Router { router },
        }
    }
}

impl From<TokenScopeForm> for TokenScope {
    fn from(scope: TokenScopeForm) -> Self {
        match scope {
            TokenScopeForm::User { user } => Self::User(user),
            TokenScopeForm::Team { user, team } => Self::Team(user, team),
            TokenScopeForm::App { user, app } => Self::App(user, app),
            TokenScopeForm::Node { node } => Self::Node(node),
            TokenScopeForm::Router { router } => Self::Router(router),
        }
    }
}
