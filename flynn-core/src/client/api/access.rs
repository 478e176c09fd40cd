//! Who may do what: users, tokens, teams, and what was done.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{
    AuditEntry, IssuedToken, Login, Member, NewMember, NewTeam, NewToken, NewUser, Page, PageQuery, Team, Token, User,
    Whoami,
};
use crate::noun::TokenId;

impl Api {
    /// Who the server takes the caller for.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn whoami(&self) -> Result<Whoami, ApiError> {
        self.transport.fetch(Ask::get("ask who this is", &["whoami"])).await
    }

    /// Makes a token of an administrator for a caller on the machine's own socket.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn login(&self, login: &Login) -> Result<IssuedToken, ApiError> {
        self.transport.fetch(Ask::new("log in", Method::POST, &["login"]).body(login)?).await
    }

    /// The tokens that the caller may see.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn tokens(&self, page: &PageQuery) -> Result<Page<Token>, ApiError> {
        self.transport.fetch(Ask::get("list tokens", &["tokens"]).page(page)).await
    }

    /// Makes a token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn create_token(&self, token: &NewToken) -> Result<IssuedToken, ApiError> {
        self.transport.fetch(Ask::new("create the token", Method::POST, &["tokens"]).body(token)?).await
    }

    /// Makes a token open nothing from here on.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn revoke_token(&self, id: TokenId) -> Result<(), ApiError> {
        let id = id.to_string();
        self.transport.tell(Ask::new("revoke the token", Method::DELETE, &["tokens", &id])).await
    }

    /// The teams that the caller may see.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn teams(&self, page: &PageQuery) -> Result<Page<Team>, ApiError> {
        self.transport.fetch(Ask::get("list teams", &["teams"]).page(page)).await
    }

    /// Makes a team.
    ///
    /// # Errors
    /// See [`ApiError`]; `Conflict` if the name is taken.
    pub async fn create_team(&self, team: &NewTeam) -> Result<Team, ApiError> {
        self.transport.fetch(Ask::new("create the team", Method::POST, &["teams"]).body(team)?).await
    }

    /// The users in a team.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn members(&self, team: &str, page: &PageQuery) -> Result<Page<Member>, ApiError> {
        self.transport.fetch(Ask::get("list members", &["teams", team, "members"]).page(page)).await
    }

    /// Gives a user a role in a team, or another one.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn put_member(&self, team: &str, user: &str, member: &NewMember) -> Result<Member, ApiError> {
        let ask = Ask::new("set the member's role", Method::PUT, &["teams", team, "members", user]);
        self.transport.fetch(ask.expecting(self.expected).body(member)?).await
    }

    /// Takes a user out of a team.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn remove_member(&self, team: &str, user: &str) -> Result<(), ApiError> {
        let ask = Ask::new("remove the member", Method::DELETE, &["teams", team, "members", user]);
        self.transport.tell(ask.expecting(self.expected)).await
    }

    /// The users that the caller may see.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn users(&self, page: &PageQuery) -> Result<Page<User>, ApiError> {
        self.transport.fetch(Ask::get("list users", &["users"]).page(page)).await
    }

    /// Makes a user.
    ///
    /// # Errors
    /// See [`ApiError`]; `Conflict` if the name is taken.
    pub async fn create_user(&self, user: &NewUser) -> Result<User, ApiError> {
        self.transport.fetch(Ask::new("create the user", Method::POST, &["users"]).body(user)?).await
    }

    /// Removes a user with all their tokens and roles.
    ///
    /// # Errors
    /// See [`ApiError`]; `Conflict` if it is the last administrator.
    pub async fn remove_user(&self, user: &str) -> Result<(), ApiError> {
        let ask = Ask::new("remove the user", Method::DELETE, &["users", user]);
        self.transport.tell(ask.expecting(self.expected)).await
    }

    /// What the bearers of tokens changed, the newest first.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn audit(&self, page: &PageQuery) -> Result<Page<AuditEntry>, ApiError> {
        self.transport.fetch(Ask::get("read the audit log", &["audit"]).page(page)).await
    }
}
