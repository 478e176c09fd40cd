//! The table of routes: what is mounted is described, and the other way round.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, any, on};
use schemars::SchemaGenerator;
use tokio::time::Instant;
use uuid::Uuid;

use super::call::Call;
use super::exchange::{Input, Output};
use super::openapi::{self, Operation};
use super::{Api, ApiError};

/// Routes, and their descriptions.
pub(crate) struct Routes {
    api: Arc<Api>,
    router: axum::Router,
    operations: Vec<Operation>,
    schemas: SchemaGenerator,
}

impl Routes {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self { api, router: axum::Router::new(), operations: Vec::new(), schemas: openapi::schemas() }
    }

    /// Mounts `handler` for `GET`.
    pub(crate) fn get<I, O, H, F>(self, path: &'static str, id: &'static str, summary: &str, handler: H) -> Self
    where
        I: Input + 'static,
        O: Output + 'static,
        H: Fn(Call, I) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O, ApiError>> + Send + 'static,
    {
        self.mount(Method::GET, path, id, summary, handler)
    }

    /// Mounts `handler` for `POST`.
    pub(crate) fn post<I, O, H, F>(self, path: &'static str, id: &'static str, summary: &str, handler: H) -> Self
    where
        I: Input + 'static,
        O: Output + 'static,
        H: Fn(Call, I) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O, ApiError>> + Send + 'static,
    {
        self.mount(Method::POST, path, id, summary, handler)
    }

    /// Mounts `handler` for `PUT`.
    pub(crate) fn put<I, O, H, F>(self, path: &'static str, id: &'static str, summary: &str, handler: H) -> Self
    where
        I: Input + 'static,
        O: Output + 'static,
        H: Fn(Call, I) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O, ApiError>> + Send + 'static,
    {
        self.mount(Method::PUT, path, id, summary, handler)
    }

    /// Mounts `handler` for `PATCH`.
    pub(crate) fn patch<I, O, H, F>(self, path: &'static str, id: &'static str, summary: &str, handler: H) -> Self
    where
        I: Input + 'static,
        O: Output + 'static,
        H: Fn(Call, I) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O, ApiError>> + Send + 'static,
    {
        self.mount(Method::PATCH, path, id, summary, handler)
    }

    /// Mounts `handler` for `DELETE`.
    pub(crate) fn delete<I, O, H, F>(self, path: &'static str, id: &'static str, summary: &str, handler: H) -> Self
    where
        I: Input + 'static,
        O: Output + 'static,
        H: Fn(Call, I) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O, ApiError>> + Send + 'static,
    {
        self.mount(Method::DELETE, path, id, summary, handler)
    }

    /// Says more about the route that was mounted last.
    pub(crate) fn details(mut self, text: &str) -> Self {
        if let Some(operation) = self.operations.last_mut() {
            operation.details(text);
        }
        self
    }

    fn mount<I, O, H, F>(
        mut self,
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &str,
        handler: H,
    ) -> Self
    where
        I: Input + 'static,
        O: Output + 'static,
        H: Fn(Call, I) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<O, ApiError>> + Send + 'static,
    {
        let mut operation = self.describe(&method, path, id, summary);
        I::describe(&mut operation, &mut self.schemas);
        O::describe(&mut operation, &mut self.schemas);
        self.operations.push(operation);
        let api = self.api.clone();
        let serve = move |request: Request| {
            let (api, handler) = (api.clone(), handler.clone());
            let asked = Asked::of(&request);
            async move { api.observe(path, asked, answer(api.clone(), handler, request)).await }
        };
        self.router = self.router.route(path, on(filter(&method), serve));
        self
    }

    /// Mounts `handler` for `GET` by everybody, also without a credential.
    pub(super) fn open<H, F>(
        mut self,
        path: &'static str,
        id: &'static str,
        summary: &str,
        media_type: &str,
        handler: H,
    ) -> Self
    where
        H: Fn(Arc<Api>, Parts) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Response<Body>, ApiError>> + Send + 'static,
    {
        let mut operation = self.describe(&Method::GET, path, id, summary);
        operation.open();
        operation.answer(200, media_type, serde_json::json!({}));
        self.operations.push(operation);
        let api = self.api.clone();
        let serve = move |request: Request| {
            let (api, handler) = (api.clone(), handler.clone());
            let asked = Asked::of(&request);
            async move { api.observe(path, asked, handler(api.clone(), request.into_parts().0)).await }
        };
        self.router = self.router.route(path, on(MethodFilter::GET, serve));
        self
    }

    fn describe(&self, method: &Method, path: &'static str, id: &'static str, summary: &str) -> Operation {
        let method = match *method {
            Method::POST => "post",
            Method::PUT => "put",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        };
        Operation::new(method, path, id, summary)
    }

    /// The router, with the description of itself, and with an answer to whatever else is asked below `/v1`.
    pub(super) fn finish(self) -> axum::Router {
        let described = self.open(
            "/v1/openapi.json",
            "describe",
            "This description, in OpenAPI 3.1.",
            "application/json",
            async |api: Arc<Api>, _| Ok(api.described()),
        );
        let Self { api, router, operations, schemas } = described;
        let document = openapi::document(&operations, schemas);
        api.describe_as(document.to_string());
        let (none, other) = (api.clone(), api);
        let refuse = |api: Arc<Api>, status, request: Request| async move {
            let refused = std::future::ready(Err(no_such_route(status, request.uri())));
            api.observe("none", Asked::of(&request), refused).await
        };
        router
            .method_not_allowed_fallback(move |request: Request| {
                refuse(other.clone(), StatusCode::METHOD_NOT_ALLOWED, request)
            })
            .route("/v1/{*rest}", any(move |request: Request| refuse(none.clone(), StatusCode::NOT_FOUND, request)))
    }
}

fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET)
}

fn no_such_route(status: StatusCode, uri: &Uri) -> ApiError {
    let path: String = uri.path().chars().take(80).collect();
    ApiError::new(status, "no_such_route", format!("`{path}` is not asked like this: see /v1/openapi.json"))
}

async fn answer<I, O, H, F>(api: Arc<Api>, handler: H, request: Request) -> Result<Response<Body>, ApiError>
where
    I: Input,
    O: Output,
    H: Fn(Call, I) -> F,
    F: Future<Output = Result<O, ApiError>>,
{
    let (mut head, body) = request.into_parts();
    let params = RawPathParams::from_request_parts(&mut head, &())
        .await
        .map_err(|rejection| ApiError::malformed("path", rejection.body_text()))?;
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut call = Call::open(api, head, params).await?;
    let input = I::read(&mut call, body).await?;
    let mut again = call.clone();
    match handler(call, input).await {
        // What is gone may be gone because of this very request.
        Err(error) if error.status() == StatusCode::NOT_FOUND && O::repeated().is_some() => {
            let done = again.recall().await?.and_then(|_| O::repeated());
            done.map(O::respond).ok_or(error)
        }
        answered => answered.map(O::respond),
    }
}

impl Api {
    /// Awaits the answer to a request and keeps account of it.
    async fn observe(
        &self,
        path: &'static str,
        asked: Asked,
        answer: impl Future<Output = Result<Response<Body>, ApiError>>,
    ) -> Response<Body> {
        let began = Instant::now();
        let answered = answer.await;
        let mut response = answered.unwrap_or_else(|error| error.of_request(&asked.id).into_response());
        if let Ok(id) = HeaderValue::try_from(asked.id) {
            response.headers_mut().insert("x-request-id", id);
        }
        self.requests.count(began.elapsed(), &asked.method, path, response.status());
        response
    }
}

/// What is kept of a request until it is answered.
struct Asked {
    id: String,
    method: Method,
}

impl Asked {
    fn of(request: &Request) -> Self {
        Self { id: request_id(request), method: request.method().clone() }
    }
}

/// The id that a proxy gave the request, or one of our own.
fn request_id(request: &Request) -> String {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let is_plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    given.filter(is_plain).map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}
