//! What goes into a handler and what comes out of it, each with its description.

use std::marker::PhantomData;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Query as AxumQuery;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::ApiError;
use super::call::Call;
use super::incoming::Incoming;
use super::openapi::Operation;
use crate::revision::Revision;

/// What a handler takes besides the [`Call`].
#[async_trait]
pub(crate) trait Input: Sized + Send {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
    async fn read(call: &mut Call, body: Body) -> Result<Self, ApiError>;
}

/// What a handler answers with.
pub(crate) trait Output: Sized + Send {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
    fn respond(self) -> Response<Body>;

    /// The answer to a request that was done before, where what it was about is gone since.
    fn repeated() -> Option<Self> {
        None
    }
}

/// The query of the request. Parameters it does not name are ignored.
pub(crate) struct Query<T>(pub(crate) T);

/// A JSON body; an empty one is an empty object.
pub(crate) struct Json<T>(pub(crate) T);

/// A body that the handler reads itself, and the query.
pub(crate) struct Upload<T> {
    pub(crate) query: T,
    pub(crate) body: Body,
}

#[async_trait]
impl Input for () {
    fn describe(_: &mut Operation, _: &mut SchemaGenerator) {}

    async fn read(_: &mut Call, _: Body) -> Result<Self, ApiError> {
        Ok(())
    }
}

fn read_query<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    let read = AxumQuery::<T>::try_from_uri(&call.head.uri);
    read.map(|AxumQuery(query)| query).map_err(|rejection| ApiError::malformed("query", rejection.body_text()))
}

#[async_trait]
impl<T: DeserializeOwned + JsonSchema + Send> Input for Query<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.query(&T::json_schema(schemas));
    }

    async fn read(call: &mut Call, _: Body) -> Result<Self, ApiError> {
        read_query(call).map(Self)
    }
}

#[async_trait]
impl<T: DeserializeOwned + JsonSchema + Send> Input for Json<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        let schema = schemas.subschema_for::<T>();
        operation.body("application/json", json!(schema));
    }

    async fn read(call: &mut Call, body: Body) -> Result<Self, ApiError> {
        let body = whole(call, body).await?;
        call.asked(&body);
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let mut json = serde_json::Deserializer::from_slice(text);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            ApiError::malformed(if path == "." { "body" } else { &path }, error.inner())
        })?;
        json.end().map_err(|error| ApiError::malformed("body", error))?;
        Ok(Self(read))
    }
}

#[async_trait]
impl<T: DeserializeOwned + JsonSchema + Send> Input for Upload<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.query(&T::json_schema(schemas));
        operation.body("application/x-tar", json!({}));
        operation.body("application/gzip", json!({}));
    }

    async fn read(call: &mut Call, body: Body) -> Result<Self, ApiError> {
        Ok(Self { query: read_query(call)?, body })
    }
}

async fn whole(call: &Call, body: Body) -> Result<Vec<u8>, ApiError> {
    let options = &call.api.state.options;
    let (mut incoming, trouble) = Incoming::new(body, options.body_limit as u64, options.body_deadline);
    let mut whole = Vec::new();
    match tokio::time::timeout(options.body_deadline, incoming.read_to_end(&mut whole)).await {
        Ok(Ok(_)) => Ok(whole),
        Ok(Err(_)) if trouble.is_too_large() => {
            let detail = format!("the body has more than {} bytes", options.body_limit);
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail))
        }
        Ok(Err(error)) if !trouble.is_stalled() => Err(ApiError::malformed("body", error)),
        _ => {
            let detail = format!("the body did not arrive within {:?}", options.body_deadline);
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail))
        }
    }
}

/// A document, and the version of the object that it is of.
pub(crate) struct Answer<T, const STATUS: u16> {
    value: T,
    version: Option<Revision>,
    status: PhantomData<[(); 0]>,
}

/// What was asked for.
pub(crate) type Shown<T> = Answer<T, 200>;
/// What was made.
pub(crate) type Created<T> = Answer<T, 201>;
/// What was begun, and goes on.
pub(crate) type Accepted<T> = Answer<T, 202>;

impl<T, const STATUS: u16> Answer<T, STATUS> {
    pub(crate) fn new(value: T) -> Self {
        Self { value, version: None, status: PhantomData }
    }

    /// With an `ETag`.
    pub(crate) fn of(value: T, version: Revision) -> Self {
        Self { version: Some(version), ..Self::new(value) }
    }
}

impl<T: Serialize + JsonSchema + Send, const STATUS: u16> Output for Answer<T, STATUS> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        let schema: Value = json!(schemas.subschema_for::<T>());
        operation.answer(STATUS, "application/json", schema);
    }

    fn respond(self) -> Response<Body> {
        let body = match serde_json::to_vec(&self.value) {
            Ok(body) => body,
            Err(error) => return ApiError::internal(error).into_response(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(STATUS).unwrap_or_default();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(tag) = self.version.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok()) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

/// A stream, whatever it carries.
impl Output for Response<Body> {
    fn describe(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.answer(200, "*/*", json!({}));
    }

    fn respond(self) -> Response<Body> {
        self
    }
}

/// It is done, and there is nothing to say.
pub(crate) struct Done;

impl Output for Done {
    fn describe(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.empty_answer(204);
    }

    fn respond(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }

    fn repeated() -> Option<Self> {
        Some(Self)
    }
}
