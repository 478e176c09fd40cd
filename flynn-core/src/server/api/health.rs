//! What those who watch the server ask.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};

use super::routes::Routes;
use super::{Api, ApiError, Call, metrics};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .open("/healthz", "isAlive", "Whether the server answers at all.", "text/plain", async |_, _| {
            Ok(text("text/plain; charset=utf-8", "ok\n"))
        })
        .open(
            "/readyz",
            "isReady",
            "Whether the server can read its store, and write to its disk.",
            "text/plain",
            ready,
        )
        .open("/metrics", "metrics", "Counts of objects and requests, for Prometheus.", "text/plain", measured)
}

async fn ready(api: Arc<Api>, _: Parts) -> Result<Response<Body>, ApiError> {
    let head = api.state.store.snapshot(crate::Scope::All).await?.revision;
    let seen = tokio::time::timeout(std::time::Duration::from_secs(1), api.state.view.wait_for(head)).await;
    match seen {
        Ok(Ok(_)) => match api.state.options.readiness.disk_problem() {
            None => Ok(text("text/plain; charset=utf-8", "ready\n")),
            Some(problem) => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "disk_full",
                format!(
                    "data disk: {problem}. What runs goes on, and nothing can be changed: make room, and the server goes \
                     on by itself"
                ),
            )),
        },
        _ => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            format!("the server does not follow its store: it has not come to revision {head}"),
        )),
    }
}

async fn measured(api: Arc<Api>, head: Parts) -> Result<Response<Body>, ApiError> {
    if !api.state.options.open_metrics {
        Call::open(api.clone(), head, Vec::new()).await?.must_read_all()?;
    }
    let rendered = metrics::render(&api.requests, &api.state.view.snapshot());
    Ok(text("text/plain; version=0.0.4; charset=utf-8", rendered))
}

fn text(media_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
