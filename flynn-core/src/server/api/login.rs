//! The way in: whoever is root on the machine gets the first token.

use super::call::first_admin;
use super::document::token as document;
use super::exchange::{Created, Json};
use super::routes::Routes;
use super::tokens::{expiry, issued};
use super::{ApiError, Call};
use crate::api::{IssuedToken, Login};
use crate::name::{TeamName, UserName};
use crate::noun::{Standing, Team, TeamId, Token, TokenScope, User, UserId};
use crate::server::Caller;
use crate::token::TokenSecret;

/// The team that an empty cluster begins with.
pub(super) const DEFAULT_TEAM: &str = "default";
const FIRST_ADMIN: &str = "root";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.post("/v1/login", "logIn", "Gives the administrator of the machine a token.", log_in).details(
        "It is answered only on the machine's own socket, to a process that could open the store itself. A cluster \
         without an administrator gets the user `root`, one without a team the team `default`.",
    )
}

async fn log_in(mut call: Call, Json(wish): Json<Login>) -> Result<Created<IssuedToken>, ApiError> {
    if call.caller != Caller::Trusted {
        let detail = "log in as root on the machine of the server, over its socket; elsewhere use a token";
        return Err(ApiError::forbidden(detail));
    }
    let expires = expiry(call.now, wish.expires_in_s)?;
    let label = wish.label.unwrap_or_else(|| String::from("login"));
    let secret = TokenSecret::mint().map_err(ApiError::internal)?;
    let (admin, team) = (UserName::new(FIRST_ADMIN)?, TeamName::new(DEFAULT_TEAM)?);
    let committed = call
        .commit(|edit| {
            if edit.objects.iter::<Team>().next().is_none() {
                edit.create(TeamId::SYSTEM, Team { name: team.clone() });
            }
            let user = match first_admin(edit.objects) {
                Some(first) => first.id,
                None => first_user(edit, &admin),
            };
            let token = Token { hash: secret.hash(), scope: TokenScope::User(user), label: label.clone(), expires };
            edit.create(TeamId::SYSTEM, token);
            Ok(())
        })
        .await?;
    let token = issued(&call, &committed)?;
    let answer = IssuedToken { token: document(call.objects(), &token), secret: secret.reveal().to_owned() };
    Ok(Created::of(answer, token.spec_version))
}

/// Makes the first administrator, of whoever has the name already if somebody has.
fn first_user(edit: &mut super::edit::Edit<'_>, name: &UserName) -> UserId {
    let namesake = edit.objects.iter::<User>().find(|user| user.spec.name == *name);
    let admin = User { name: name.clone(), standing: Standing::Admin };
    match namesake {
        Some(user) => {
            edit.update(user, admin);
            user.id
        }
        None => edit.create(TeamId::SYSTEM, admin),
    }
}
