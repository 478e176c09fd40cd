//! The environments of jobs, opened for their nodes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, HeaderValue};
use axum::http::request::Parts;
use axum::routing::get;

use super::answer;
use super::gate::Gate;
use super::read::parse;
use crate::error::{Chain, StoreError};
use crate::port::{KeyRing, SealedFor, Store};
use crate::server::Authenticator;
use crate::server::problem::Refused;
use crate::time::Clock;
use crate::wire::peer::{Environment, encode};

struct Opener<S> {
    gate: Gate<S>,
    keys: Arc<dyn KeyRing>,
}

/// The route `GET /peer/v1/jobs/{job}/env`, to merge with those of a [`router`](super::router): the environment
/// of a job with its values opened, for the node that it is placed on and for the trusted. Nothing of it is
/// logged or kept.
///
/// Tokens expire by `clock`.
pub fn environment_routes<S: Store + 'static>(
    store: Arc<S>,
    keys: Arc<dyn KeyRing>,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
) -> Router {
    let opener = Arc::new(Opener { gate: Gate::new(store, authenticator, clock), keys });
    Router::new().route("/peer/v1/jobs/{job}/env", get(env::<S>)).with_state(opener)
}

async fn env<S: Store>(
    State(opener): State<Arc<Opener<S>>>,
    Path(job): Path<String>,
    head: Parts,
) -> Result<Response<Body>, Refused> {
    const OPEN: &str = "open the environment";
    let pass = opener.gate.pass(OPEN, &head).await?;
    let job = pass.may_open(parse(OPEN, "job", &job)?)?;
    let purpose = SealedFor::Env(job.spec.app);
    let opened = job.spec.workload.env.iter().map(|(key, sealed)| match opener.keys.open(purpose, sealed) {
        Ok(value) => Ok((key.clone(), value)),
        Err(error) => {
            let problem = format!("job {}: the variable {key}: {}", job.id, Chain(&error));
            tracing::error!(problem, "peer: a sealed value cannot be opened");
            Err(StoreError::Internal { operation: OPEN, source: problem.into() })
        }
    });
    let environment = Environment { env: opened.collect::<Result<_, _>>()? };
    let mut response = answer(OPEN, encode("environment", &environment))?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
