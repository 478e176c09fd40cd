//! One request: who asks, for what, and on what state.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use sha2::{Digest, Sha256};

use super::{Api, ApiError};
use crate::change::{Change, Expectation, Idempotency};
use crate::id::Id;
use crate::noun::{App, Noun, ObjectId, Objects, Stored, Team, Token, TokenScope, User, UserId};
use crate::port::{Committed, Snapshot};
use crate::revision::Revision;
use crate::rule::{Authority, Principal, authorize, authorize_read};
use crate::scope::Scope;
use crate::server::Caller;
use crate::time::Timestamp;

/// How long an answer waits for the view to include what was committed. After that the store itself is read.
const CATCH_UP: Duration = Duration::from_secs(5);

/// One request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) api: Arc<Api>,
    pub(crate) caller: Caller,
    pub(crate) authority: Authority,
    /// The state that the request is answered from: at first as it was when it came, then as its commit left it.
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Timestamp,
    /// What came before the body.
    pub(crate) head: Parts,
    pub(crate) if_match: IfMatch,
    params: Vec<(String, String)>,
    key: Option<String>,
    fingerprint: Sha256,
}

impl Call {
    /// Finds out who asks.
    pub(super) async fn open(api: Arc<Api>, head: Parts, params: Vec<(String, String)>) -> Result<Self, ApiError> {
        let caller = api.state.authenticator.authenticate(&head).await?;
        let now = api.state.clock.now();
        let snapshot = api.snapshot_knowing(caller).await?;
        let authority = Authority::of(principal(caller), &snapshot.objects, now)?;
        if matches!(head.method, Method::POST | Method::PUT | Method::PATCH)
            && let Some(problem) = api.state.options.readiness.disk_problem()
        {
            return Err(ApiError::disk_full(problem));
        }
        let if_match = IfMatch::of(&head.headers)?;
        let key = idempotency_key(&head.headers)?;
        let mut fingerprint = Sha256::new();
        for part in [head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default()] {
            fingerprint.update(part);
            fingerprint.update([0]);
        }
        Ok(Self { api, caller, authority, snapshot, now, head, if_match, params, key, fingerprint })
    }

    /// Makes `content` part of what is asked for: another content under the same key is another request.
    pub(crate) fn asked(&mut self, content: &[u8]) {
        self.fingerprint.update(content);
    }

    pub(super) fn idempotency(&self) -> Option<Idempotency> {
        let key = self.key.clone()?;
        Some(Idempotency { key, fingerprint: self.fingerprint.clone().finalize().into() })
    }

    pub(crate) fn principal(&self) -> Principal {
        principal(self.caller)
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.snapshot.objects
    }

    /// The value of a part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    /// Whether the caller may read everything, and so what belongs to the cluster.
    pub(crate) fn reads_all(&self) -> bool {
        self.may_read(Scope::All)
    }

    pub(crate) fn may_read(&self, scope: Scope) -> bool {
        authorize_read(&self.authority, scope, self.objects()).is_ok()
    }

    /// Whether the caller may read this object.
    pub(crate) fn sees(&self, id: ObjectId) -> bool {
        let Some(object) = self.objects().object(id) else { return false };
        match object.footprint().app {
            Some(app) => self.may_read(Scope::App(app)),
            None => self.may_read(Scope::Team(object.team())),
        }
    }

    /// Whether the caller would be allowed this change.
    pub(crate) fn would_be_allowed(&self, change: &Change) -> bool {
        authorize(&self.authority, change, self.objects()).is_ok()
    }

    /// Refuses who may not read what belongs to the cluster.
    pub(crate) fn must_read_all(&self) -> Result<(), ApiError> {
        match self.reads_all() {
            true => Ok(()),
            false => Err(ApiError::forbidden("only an administrator of the cluster may look at this")),
        }
    }

    /// The app of the path, by name or id, if the caller may read it.
    pub(crate) fn app(&self) -> Result<Arc<Stored<App>>, ApiError> {
        self.app_named(self.param("app"))
    }

    pub(crate) fn app_named(&self, text: &str) -> Result<Arc<Stored<App>>, ApiError> {
        named(self.objects(), text, |app: &App| app.name.as_str())
            .filter(|app| self.may_read(Scope::App(app.id)))
            .ok_or_else(|| ApiError::not_found("app", text))
    }

    pub(crate) fn team_named(&self, text: &str) -> Result<Arc<Stored<Team>>, ApiError> {
        named(self.objects(), text, |team: &Team| team.name.as_str())
            .filter(|team| self.may_read(Scope::Team(team.id)))
            .ok_or_else(|| ApiError::not_found("team", text))
    }

    /// The token the caller came with.
    pub(crate) fn token(&self) -> Option<&Arc<Stored<Token>>> {
        match self.caller {
            Caller::Is(Principal::Bearer(token)) => self.objects().get(token),
            _ => None,
        }
    }

    /// The user the caller acts as; the first administrator for the trusted.
    pub(crate) fn user(&self) -> Option<&Arc<Stored<User>>> {
        match self.caller {
            Caller::Trusted => first_admin(self.objects()),
            Caller::Is(_) => self.objects().get(self.token()?.spec.scope.user()?),
        }
    }

    /// The user whose every power the caller has; none for tokens that are for less.
    pub(crate) fn whole_user(&self) -> Option<UserId> {
        match self.token() {
            Some(token) => match token.spec.scope {
                TokenScope::User(user) => Some(user),
                _ => None,
            },
            None => self.user().map(|user| user.id),
        }
    }

    /// Waits until the state that the request is answered from includes `revision`.
    pub(crate) async fn catch_up(&mut self, revision: Revision) -> Result<(), ApiError> {
        self.snapshot = self.api.snapshot_at(revision).await?;
        Ok(())
    }

    /// The object that a commit made or changed, as it is from here on.
    pub(crate) fn made<N: Noun>(&self, committed: &Committed) -> Result<Arc<Stored<N>>, ApiError> {
        committed
            .objects
            .iter()
            .filter(|id| id.kind() == N::KIND)
            .find_map(|id| self.objects().get(Id::<N>::from_uuid(id.uuid())))
            .cloned()
            .ok_or_else(|| ApiError::conflict(format!("the {} was made, and is gone already", N::KIND)))
    }
}

/// Everybody who could open the store themselves acts as the system.
pub(super) fn principal(caller: Caller) -> Principal {
    match caller {
        Caller::Trusted => Principal::System,
        Caller::Is(principal) => principal,
    }
}

/// The administrator who was made first.
pub(crate) fn first_admin(objects: &Objects) -> Option<&Arc<Stored<User>>> {
    let admins = objects.iter::<User>().filter(|user| user.spec.standing == crate::noun::Standing::Admin);
    admins.min_by_key(|user| (user.created_at, user.id))
}

/// The object with this id or name.
pub(crate) fn named<N: Noun>(objects: &Objects, text: &str, name: fn(&N) -> &str) -> Option<Arc<Stored<N>>> {
    let by_id = Id::<N>::from_str(text).ok().and_then(|id| objects.get(id));
    by_id.or_else(|| objects.iter::<N>().find(|object| name(&object.spec) == text)).cloned()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    const NAME: &str = "idempotency-key";
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_visible = !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic());
    match is_visible {
        true => Ok(Some(text.to_owned())),
        false => Err(ApiError::malformed("Idempotency-Key", "use 1 to 255 visible ASCII characters")),
    }
}

/// Which version of an object a change is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Whatever it is.
    Any,
    /// One of these.
    Versions(Vec<Revision>),
}

impl IfMatch {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get("if-match") else { return Ok(Self::Any) };
        let refuse = || ApiError::malformed("If-Match", "use the ETag of an answer, such as \"17\", or *");
        let text = value.to_str().map_err(|_| refuse())?;
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut versions = Vec::new();
        for tag in text.split(',') {
            let tag = tag.trim();
            let is_weak = tag.starts_with("W/");
            let quoted = tag.strip_prefix("W/").unwrap_or(tag);
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(refuse)?;
            // Another server's tag matches nothing here; a weak one never does (RFC 9110 §13.1.1).
            versions.extend(inner.parse().ok().filter(|_| !is_weak).map(Revision::new));
        }
        Ok(Self::Versions(versions))
    }

    /// Whether a change of an object of this version is meant.
    pub(crate) fn check(&self, version: Revision) -> Result<(), ApiError> {
        match self {
            Self::Versions(versions) if !versions.contains(&version) => Err(ApiError::new(
                axum::http::StatusCode::PRECONDITION_FAILED,
                "stale",
                format!("it was changed since you read it: its version is \"{version}\"; read it again"),
            )),
            _ => Ok(()),
        }
    }
}

/// What is read must still be so when it is written.
pub(super) fn unchanged<N: Noun>(stored: &Stored<N>) -> Expectation
where
    ObjectId: From<Id<N>>,
{
    Expectation::Spec(stored.id.into(), stored.spec_version)
}

impl Api {
    /// The state, new enough to include the token of `caller`.
    async fn snapshot_knowing(&self, caller: Caller) -> Result<Snapshot, ApiError> {
        let snapshot = self.state.view.snapshot();
        match caller {
            Caller::Is(Principal::Bearer(token)) if snapshot.objects.get(token).is_none() => {
                Ok(self.state.store.snapshot(Scope::All).await?)
            }
            _ => Ok(snapshot),
        }
    }

    pub(super) async fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, ApiError> {
        match tokio::time::timeout(CATCH_UP, self.state.view.wait_for(revision)).await {
            Ok(Ok(snapshot)) => Ok(snapshot),
            _ => Ok(self.state.store.snapshot(Scope::All).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn if_match(text: &'static str) -> Option<IfMatch> {
        let headers = HeaderMap::from_iter([(axum::http::header::IF_MATCH, HeaderValue::from_static(text))]);
        IfMatch::of(&headers).ok()
    }

    #[test]
    fn conditions_are_read_as_http_says() {
        let versions = |numbers: &[u64]| Some(IfMatch::Versions(numbers.iter().copied().map(Revision::new).collect()));
        assert_eq!(if_match("\"17\""), versions(&[17]));
        assert_eq!(if_match("\"17\", \"18\""), versions(&[17, 18]));
        assert_eq!(if_match("W/\"17\""), versions(&[]));
        assert_eq!(if_match("\"later\""), versions(&[]));
        assert_eq!(if_match(" * "), Some(IfMatch::Any));
        for bad in ["17", "", "\"17", "\"17\" \"18\""] {
            assert!(if_match(bad).is_none() || bad.contains(' '), "{bad}");
        }
        assert!(IfMatch::Versions(vec![]).check(Revision::new(1)).is_err());
        assert!(IfMatch::Versions(vec![Revision::new(1)]).check(Revision::new(1)).is_ok());
        assert!(IfMatch::Any.check(Revision::new(1)).is_ok());
    }
}
