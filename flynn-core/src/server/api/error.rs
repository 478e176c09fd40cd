//! Refusals of the API.

use std::error::Error;
use std::fmt;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;

use crate::api::{FieldError, Problem};
use crate::error::{BoxError, Chain, Conflict, DiskFull, StoreError};
use crate::name::NameError;
use crate::noun::{ObjectId, Objects};
use crate::port::KeyRingError;
use crate::rule::{Denial, Invalid};
use crate::server::AuthError;

/// Why a request is not granted. Handlers end with it by `?`.
#[derive(Debug)]
pub(crate) struct ApiError {
    problem: Box<Problem>,
    /// What only the operator is told.
    cause: Option<BoxError>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        Self { problem: Box::new(Problem::new(status.as_u16(), code, title, detail)), cause: None }
    }

    /// There is no such thing, or the caller may not know of it.
    pub(crate) fn not_found(what: &str, name: &str) -> Self {
        let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} `{name}`"))
    }

    /// The state is not one in which this can be done.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// The caller may see it and not do this.
    pub(crate) fn forbidden(reason: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", format!("not allowed: {reason}"))
    }

    /// A request that cannot be read.
    pub(crate) fn malformed(field: &str, detail: impl fmt::Display) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "malformed", format!("{field}: {detail}"));
        error.problem.errors.push(FieldError { field: field.to_owned(), detail: detail.to_string() });
        error
    }

    /// A request that can never succeed because of this field.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { problem: Box::new(Problem::invalid(field, detail.to_string())), cause: None }
    }

    /// The same of several fields.
    pub(crate) fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let all: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect();
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", all.join("; "));
        error.problem.errors = errors;
        error
    }

    pub(crate) fn internal(cause: impl Into<BoxError>) -> Self {
        let detail = "the server found itself broken: tell its operator the request id";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail);
        error.cause = Some(cause.into());
        error
    }

    /// There is no room for it.
    pub(crate) fn disk_full(problem: impl fmt::Display) -> Self {
        let detail = format!(
            "the data disk is full: {problem}. Nothing was changed; make room on the machine of the control plane, then \
             repeat the request"
        );
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", detail)
    }

    pub(crate) fn unavailable(cause: impl Into<BoxError>) -> Self {
        let detail = "the server cannot do this at present: repeat the request with the same Idempotency-Key";
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        error.cause = Some(cause.into());
        error
    }

    #[cfg(test)]
    pub(crate) fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Puts the id of the request into it, and tells the operator what is not for the caller.
    pub(crate) fn of_request(mut self, id: &str) -> Self {
        if let Some(cause) = self.cause.take() {
            let cause: &(dyn Error + 'static) = &*cause;
            tracing::error!(request_id = id, status = self.problem.status, "api: {}", Chain(cause));
        }
        self.problem.request_id = Some(id.to_owned());
        self
    }

    /// A refused commit as the caller is told it, who may read what `visible` holds for.
    ///
    /// It names the holder of what is taken only to somebody who may see it.
    pub(crate) fn of_commit(error: StoreError, objects: &Objects, visible: impl Fn(ObjectId) -> bool) -> Self {
        match error {
            StoreError::NotFound { id, .. } => Self::not_found(id.kind().as_str(), &id.uuid().to_string()),
            StoreError::Conflict { conflict, .. } => Self::of_conflict(&conflict, objects, visible),
            StoreError::Invalid { invalid, .. } => Self::from(invalid),
            StoreError::NotAllowed { denial, .. } => Self::from(denial),
            StoreError::Unavailable { source, .. } if source.is::<DiskFull>() => {
                Self::disk_full("the store cannot write")
            }
            error @ StoreError::Unavailable { .. } => Self::unavailable(error),
            error @ StoreError::Internal { .. } => Self::internal(error),
        }
    }

    fn of_conflict(conflict: &Conflict, objects: &Objects, visible: impl Fn(ObjectId) -> bool) -> Self {
        let code = |code, detail: String| Self::new(StatusCode::CONFLICT, code, detail);
        match conflict {
            Conflict::Claimed { claim, holder } => {
                let app = objects.object(*holder).and_then(|holder| holder.footprint().app);
                let app = app.filter(|_| visible(*holder)).and_then(|app| objects.get(app));
                match app {
                    Some(app) => code("taken", format!("{} is taken by app `{}`", claim.describe(), app.spec.name)),
                    None => code("taken", format!("{} is taken", claim.describe())),
                }
            }
            Conflict::HostTaken { host } => code("taken", format!("the host {host} is taken")),
            Conflict::OverQuota { over, .. } => code("over_quota", over.to_string()),
            Conflict::KeyReused { .. } => code("key_reused", conflict.to_string()),
            Conflict::SpecVersion { .. } | Conflict::StatusVersion { .. } => {
                code("conflict", String::from("somebody else changed it at the same time: read it again"))
            }
            Conflict::InUse { id, by } => {
                code("conflict", format!("this {} is still needed by a {}", id.kind(), by.kind()))
            }
            _ => code("conflict", conflict.to_string()),
        }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), cause: None }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.field, invalid.problem)
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::invalid("name", error)
    }
}

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::UnknownToken | Denial::ExpiredToken | Denial::Anonymous => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", denial.to_string())
            }
            Denial::Forbidden { reason, .. } | Denial::Unreadable { reason } | Denial::Reserved { reason } => {
                Self::forbidden(reason)
            }
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Denial::Anonymous.into(),
            AuthError::Denied(denial) => denial.into(),
            AuthError::Store(error) => Self::unavailable(error),
        }
    }
}

/// An error of reading: a commit's goes through [`ApiError::of_commit`].
impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::of_commit(error, &Objects::default(), |_| false)
    }
}

impl From<KeyRingError> for ApiError {
    fn from(error: KeyRingError) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        // Texts and numbers always have a form.
        let body = serde_json::to_string(&self.problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"flynn\""));
        }
        response
    }
}
