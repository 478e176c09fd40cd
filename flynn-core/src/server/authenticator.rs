use async_trait::async_trait;
use axum::http::request::Parts;

use crate::error::StoreError;
use crate::rule::{Denial, Principal};

/// Who makes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// One that could as well open the store itself: it may act as any principal and read everything.
    Trusted,
    /// This principal.
    Is(Principal),
}

/// Tells who makes a request.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who makes the request with this head. It is asked once a request, before the body is read.
    ///
    /// # Errors
    /// See [`AuthError`].
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError>;
}

/// Why a caller is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request has nothing that this authenticator looks at. Another one may know the caller.
    #[error("authenticate: the request carries no credential")]
    Missing,
    /// The credential opens nothing.
    #[error("authenticate: not allowed")]
    Denied(#[source] Denial),
    /// Who the caller is cannot be found out at present.
    #[error("authenticate: the store does not answer")]
    Store(#[source] StoreError),
}

/// Asks one authenticator, and another if the request has nothing that the first looks at.
#[derive(Debug, Clone)]
pub struct FirstOf<A, B>(pub A, pub B);

#[async_trait]
impl<A: Authenticator, B: Authenticator> Authenticator for FirstOf<A, B> {
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError> {
        match self.0.authenticate(request).await {
            Err(AuthError::Missing) => self.1.authenticate(request).await,
            known => known,
        }
    }
}
