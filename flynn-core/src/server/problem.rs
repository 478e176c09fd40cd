//! Refusals as problem details (RFC 9457).

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;

use serde_json::value::RawValue;

use super::AuthError;
use crate::error::{BoxError, Chain, StoreError};
use crate::port::BlobError;
use crate::rule::{Denial, Invalid};
use crate::wire::WireError;
use crate::wire::peer::{BlobRefusal, Problem, encode};

/// A request that is not granted.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    problem: Problem,
}

impl Refused {
    fn new(status: StatusCode, code: &str, detail: String) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused").to_owned();
        let problem = Problem { title, status: status.as_u16(), detail, code: code.to_owned(), error: None };
        Self { status, problem }
    }

    /// A request that is none of the protocol.
    pub(super) fn malformed(
        status: StatusCode,
        code: &str,
        operation: &'static str,
        field: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        let invalid = Invalid::new(field, problem.into());
        let error = StoreError::Invalid { operation, what: String::from("request"), invalid };
        let mut refused = Self::new(status, code, Chain(&error).to_string());
        refused.problem = refused.problem.with_error(&error);
        refused
    }

    /// A message that cannot be read.
    pub(super) fn unreadable(operation: &'static str, error: &WireError) -> Self {
        let field = match error {
            WireError::Unreadable { field, .. } | WireError::Unwritable { field, .. } => field.clone(),
        };
        Self::malformed(StatusCode::BAD_REQUEST, "malformed", operation, field, Chain(error).to_string())
    }

    /// A refusal of a store of blobs.
    pub(super) fn of_blob(status: StatusCode, code: &str, error: &BlobError) -> Self {
        let mut refused = Self::new(status, code, Chain(error).to_string());
        let refusal = BlobRefusal::of(error).and_then(|refusal| encode("refusal", &refusal).ok());
        refused.problem.error = refusal.and_then(|refusal| RawValue::from_string(refusal).ok());
        refused
    }

    pub(super) fn denied(operation: &'static str, denial: Denial) -> Self {
        StoreError::NotAllowed { operation, denial }.into()
    }

    pub(super) fn unavailable(operation: &'static str, source: impl Into<BoxError>) -> Self {
        StoreError::Unavailable { operation, source: source.into() }.into()
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            StoreError::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            StoreError::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            StoreError::NotAllowed { denial, .. } => match denial {
                Denial::UnknownToken | Denial::ExpiredToken | Denial::Anonymous => {
                    (StatusCode::UNAUTHORIZED, "unauthenticated")
                }
                _ => (StatusCode::FORBIDDEN, "not_allowed"),
            },
            StoreError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            StoreError::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        let mut refused = Self::new(status, code, Chain(&error).to_string());
        refused.problem = refused.problem.with_error(&error);
        refused
    }
}

impl From<AuthError> for Refused {
    fn from(error: AuthError) -> Self {
        const AUTHENTICATE: &str = "authenticate";
        match error {
            AuthError::Missing => Self::denied(AUTHENTICATE, Denial::Anonymous),
            AuthError::Denied(denial) => Self::denied(AUTHENTICATE, denial),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        // Only texts and what was read from JSON: there is nothing in it that has no form.
        let body = serde_json::to_string(&self.problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"flynn\""));
        }
        response
    }
}
