use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{AppId, GrantId, TeamId, TokenId, UserId};

/// Who the server takes the caller for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Whoami {
    /// `user`, `node` or `router`, or `trusted` for a caller on the machine's own socket.
    pub kind: String,
    /// The name of the user; for the trusted, the administrator they act as.
    #[serde(default)]
    pub user: Option<String>,
    /// The id of that user.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Whether the caller administers the cluster.
    pub admin: bool,
    /// The token it came with.
    #[serde(default)]
    pub token: Option<Token>,
    /// The teams it can act in.
    #[serde(default)]
    pub teams: Vec<Membership>,
}

/// A team that a user can act in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    /// The name of the team.
    pub team: String,
    /// The id of that team.
    pub team_id: TeamId,
    /// `viewer`, `developer` or `owner`.
    pub role: String,
}

/// A wish to log in on the machine's own socket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Login {
    /// What the token is called; `login` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// After how many seconds the token ends; it does not by itself if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// What a caller shows to prove who it is, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What it is called.
    pub label: String,
    /// What it opens: all that a `user` may do, or only in one `team` or `app`; or to be a `node` or `router`.
    pub scope: String,
    /// The name of the user behind it; none for nodes and routers.
    #[serde(default)]
    pub user: Option<String>,
    /// The name of the team, app, node or router of its scope.
    #[serde(default)]
    pub of: Option<String>,
    /// When it ends by itself.
    #[serde(default)]
    pub expires_at: Option<Time>,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// A wish for a token. It opens what its maker's does, or less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewToken {
    /// What it is to be called.
    pub label: String,
    /// Name or id of the user it is to be for, if that is another. Takes an administrator if that user has no token yet,
    /// and else a caller on the machine's own socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Name or id of the one team it is to be for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Name or id of the one app it is to be for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Name or id of the node it is to be for. Takes an administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// After how many seconds it ends by itself; it does not if this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedToken {
    /// The token.
    pub token: Token,
    /// Its secret, which is shown this once.
    pub secret: String,
}

/// The secret is not shown.
impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken").field("token", &self.token).finish_non_exhaustive()
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// A wish for a team.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewTeam {
    /// Its name.
    pub name: String,
}

/// A user in a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The id of the grant that makes it one.
    pub id: GrantId,
    /// The name of the user.
    pub user: String,
    /// The id of that user.
    pub user_id: UserId,
    /// `viewer`, `developer` or `owner`.
    pub role: String,
    /// The revision that last changed the role: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// A wish for a user's role in a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewMember {
    /// `viewer` looks; `developer` also deploys, configures and scales; `owner` also decides who is in the team.
    #[schemars(extend("enum" = ["viewer", "developer", "owner"]))]
    pub role: String,
}

/// A person or an automaton that holds tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// Whether it administers the cluster.
    pub admin: bool,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// A wish for a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewUser {
    /// Its name.
    pub name: String,
    /// Whether it is to administer the cluster.
    #[serde(default)]
    pub admin: bool,
}

/// A commit by the bearer of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// The revision it made.
    pub revision: u64,
    /// When it was.
    pub at: Time,
    /// The name of the user behind the token; none if token or user are gone.
    #[serde(default)]
    pub user: Option<String>,
    /// The token, as `bearer:` and its id.
    pub principal: String,
    /// What it changed.
    #[serde(default)]
    pub objects: Vec<AuditObject>,
}

/// An object that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditObject {
    /// Its kind, such as `app`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The app it hangs from, if it is still there and hangs from one.
    #[serde(default)]
    pub app: Option<AppId>,
}
