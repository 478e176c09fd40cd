//! Tokens: what callers show.

use std::sync::Arc;
use std::time::Duration;

use super::call::named;
use super::document::token as document;
use super::exchange::{Created, Done, Json, Query, Shown};
use super::routes::Routes;
use super::teams::visible_user;
use super::{ApiError, Call, paging};
use crate::api::{self, IssuedToken, NewToken, Page, PageQuery};
use crate::noun::{Node, Role, Stored, TeamId, Token, TokenId, TokenScope};
use crate::port::Committed;
use crate::rule::Power;
use crate::time::Timestamp;
use crate::token::TokenSecret;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/tokens", "listTokens", "The tokens the caller can see, the oldest first.", list)
        .details("One's own, those for the teams one owns, and for an administrator all.")
        .post("/v1/tokens", "createToken", "Makes a token that opens what the caller's does, or less.", create)
        .get("/v1/tokens/{token}", "getToken", "A token, by id; `current` is the one the request came with.", get)
        .delete("/v1/tokens/{token}", "revokeToken", "Revokes a token. It opens nothing from then on.", revoke)
}

/// When a token ends that is to last for so many seconds.
pub(super) fn expiry(now: Timestamp, seconds: Option<u64>) -> Result<Option<Timestamp>, ApiError> {
    const LONGEST: u64 = 100 * 366 * 86_400;
    match seconds {
        None => Ok(None),
        Some(seconds @ 1..=LONGEST) => Ok(Some(now + Duration::from_secs(seconds))),
        Some(other) => Err(ApiError::invalid("expires_in_s", format!("{other} is not from 1 to {LONGEST}"))),
    }
}

/// The token that a commit made. Its secret is known only to who made it, so not to one who asks again.
pub(super) fn issued(call: &Call, committed: &Committed) -> Result<Arc<Stored<Token>>, ApiError> {
    let token = call.made::<Token>(committed)?;
    match committed.replayed {
        false => Ok(token),
        true => Err(ApiError::conflict(format!(
            "this request was answered before with token {}, whose secret is not kept: revoke it and ask with another \
             Idempotency-Key",
            token.id
        ))),
    }
}

fn is_visible(call: &Call, token: &Stored<Token>) -> bool {
    let owns = |power: &Power| matches!(power, Power::Team(team, Role::Owner) if *team == token.team);
    let is_own = call.token().is_some_and(|own| own.id == token.id)
        || call.whole_user().is_some_and(|user| token.spec.scope.user() == Some(user));
    call.reads_all() || is_own || call.authority.powers().iter().any(owns)
}

async fn list(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Token>>, ApiError> {
    let key = |token: &Stored<Token>| format!("{:016x}-{}", token.created_at.as_millis(), token.id);
    let visible = call.objects().iter::<Token>().filter(|token| is_visible(&call, token));
    let tokens = visible.map(|token| (key(token), token)).collect();
    paging::sorted(tokens, &query, |token| document(call.objects(), token)).map(Shown::new)
}

fn asked(call: &Call) -> Result<Arc<Stored<Token>>, ApiError> {
    let text = call.param("token");
    let found = match text {
        "current" => call.token(),
        id => id.parse::<TokenId>().ok().and_then(|id| call.objects().get(id)),
    };
    let found = found.filter(|token| is_visible(call, token));
    found.cloned().ok_or_else(|| ApiError::not_found("token", text))
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Token>, ApiError> {
    let token = asked(&call)?;
    Ok(Shown::of(document(call.objects(), &token), token.spec_version))
}

async fn create(mut call: Call, Json(wish): Json<NewToken>) -> Result<Created<IssuedToken>, ApiError> {
    let (team, scope) = scope(&call, &wish)?;
    let expires = expiry(call.now, wish.expires_in_s)?;
    let secret = TokenSecret::mint().map_err(ApiError::internal)?;
    let committed = call
        .commit(|edit| {
            edit.create(team, Token { hash: secret.hash(), scope, label: wish.label.clone(), expires });
            Ok(())
        })
        .await?;
    let token = issued(&call, &committed)?;
    let answer = IssuedToken { token: document(call.objects(), &token), secret: secret.reveal().to_owned() };
    Ok(Created::of(answer, token.spec_version))
}

/// What the token is to open, and who owns it.
fn scope(call: &Call, wish: &NewToken) -> Result<(TeamId, TokenScope), ApiError> {
    let user = || {
        let own = call.user();
        if let Some(name) = &wish.user {
            let own = own.filter(|own| own.spec.name.as_str() == name);
            return own.map_or_else(|| visible_user(call, name).map(|user| user.id), |own| Ok(own.id));
        }
        let user = own.map(|user| user.id);
        user.ok_or_else(|| ApiError::conflict("there is no user yet whose token it could be: log in first"))
    };
    match (&wish.team, &wish.app, &wish.node) {
        (None, None, None) => {
            let own = call.token().filter(|_| wish.user.is_none()).map(|token| (token.team, token.spec.scope));
            own.map_or_else(|| Ok((TeamId::SYSTEM, TokenScope::User(user()?))), Ok)
        }
        (Some(team), None, None) => {
            let team = call.team_named(team)?.id;
            Ok((team, TokenScope::Team(user()?, team)))
        }
        (None, Some(app), None) => {
            let app = call.app_named(app)?;
            Ok((app.team, TokenScope::App(user()?, app.id)))
        }
        (None, None, Some(node)) => {
            let found = named(call.objects(), node, |node: &Node| node.name.as_str()).filter(|_| call.reads_all());
            let found = found.ok_or_else(|| ApiError::not_found("node", node))?;
            Ok((TeamId::SYSTEM, TokenScope::Node(found.id)))
        }
        _ => Err(ApiError::invalid("team", "a token is for one team, one app or one node")),
    }
}

async fn revoke(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let id = asked(&call)?.id;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        edit.remove(&stored);
        Ok(())
    })
    .await?;
    Ok(Done)
}
