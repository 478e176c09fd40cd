use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::{AuthError, Authenticator, Caller};
use crate::noun::{Objects, Token, TokenHash, TokenId};
use crate::port::Store;
use crate::rule::{Authority, Denial, Principal};
use crate::scope::Scope;
use crate::time::{Clock, SystemClock};
use crate::token::TokenSecret;

/// Knows callers by the token in their `Authorization: Bearer` header.
///
/// The token is looked up by the hash of its secret in the newest state of the store, so that a revoked
/// one opens nothing from the next request on. The table of hashes is made anew only when a token was made,
/// changed or revoked. The store has to be one that gives a snapshot of everything in constant time, as
/// those in this process do.
pub struct TokenAuthenticator<S: ?Sized> {
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    store: Arc<S>,
}

/// The tokens of some state of the store.
#[derive(Default)]
struct Known {
    of: Objects,
    ids: HashMap<TokenHash, TokenId>,
}

impl<S: ?Sized> fmt::Debug for TokenAuthenticator<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAuthenticator").finish_non_exhaustive()
    }
}

impl<S: Store + ?Sized> TokenAuthenticator<S> {
    /// Knows the tokens of `store`.
    pub fn new(store: Arc<S>) -> Self {
        Self { clock: Arc::new(SystemClock), known: Mutex::default(), store }
    }

    /// Lets tokens expire by another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    async fn principal(&self, secret: &TokenSecret) -> Result<Principal, AuthError> {
        let snapshot = self.store.snapshot(Scope::All).await.map_err(AuthError::Store)?;
        let id = self.known.lock().unwrap_or_else(PoisonError::into_inner).find(&snapshot.objects, &secret.hash());
        let principal = Principal::Bearer(id.ok_or(AuthError::Denied(Denial::UnknownToken))?);
        let now = self.clock.now();
        Authority::of(principal, &snapshot.objects, now).map_err(AuthError::Denied)?;
        Ok(principal)
    }
}

impl Known {
    fn find(&mut self, objects: &Objects, hash: &TokenHash) -> Option<TokenId> {
        if !self.of.shares::<Token>(objects) {
            self.ids = objects.iter::<Token>().map(|token| (token.spec.hash, token.id)).collect();
            self.of = objects.clone();
        }
        self.ids.get(hash).copied()
    }
}

#[async_trait]
impl<S: Store + ?Sized> Authenticator for TokenAuthenticator<S> {
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError> {
        let Some(header) = request.headers.get(AUTHORIZATION) else { return Err(AuthError::Missing) };
        let shown = header.to_str().ok().and_then(|text| text.split_once(' '));
        let Some((_, secret)) = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
            let reason = "the Authorization header is not `Bearer` and a token".into();
            return Err(AuthError::Denied(Denial::Reserved { reason }));
        };
        match secret.trim().parse() {
            Ok(secret) => self.principal(&secret).await.map(Caller::Is),
            Err(_) => Err(AuthError::Denied(Denial::UnknownToken)),
        }
    }
}
