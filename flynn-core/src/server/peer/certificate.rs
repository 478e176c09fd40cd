//! The private keys of certificates, opened for routers.

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
use crate::wire::peer::{OpenedKey, encode};

const OPEN: &str = "open the private key";

struct Opener<S> {
    gate: Gate<S>,
    keys: Arc<dyn KeyRing>,
}

/// The route `GET /peer/v1/certificates/{certificate}/key`, to merge with those of a [`router`](super::router): the
/// private key of a certificate, for routers and for the trusted. Nothing of it is logged or kept.
///
/// Tokens expire by `clock`.
pub fn certificate_routes<S: Store + 'static>(
    store: Arc<S>,
    keys: Arc<dyn KeyRing>,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
) -> Router {
    let opener = Arc::new(Opener { gate: Gate::new(store, authenticator, clock), keys });
    Router::new().route("/peer/v1/certificates/{certificate}/key", get(key::<S>)).with_state(opener)
}

async fn key<S: Store>(
    State(opener): State<Arc<Opener<S>>>,
    Path(certificate): Path<String>,
    head: Parts,
) -> Result<Response<Body>, Refused> {
    let pass = opener.gate.pass(OPEN, &head).await?;
    let certificate = pass.may_open_key(parse(OPEN, "certificate", &certificate)?)?;
    let id = certificate.id;
    // One that is still being ordered has no key.
    let pair = certificate.spec.pair(&certificate.status);
    let pair = pair.ok_or_else(|| StoreError::NotFound { operation: OPEN, id: id.into() })?;
    let purpose = SealedFor::CertificateKey(certificate.spec.app);
    let key = opener.keys.open(purpose, &pair.key).map_err(|error| {
        let problem = format!("certificate {id}: {}", Chain(&error));
        tracing::error!(problem, "peer: a sealed key cannot be opened");
        StoreError::Internal { operation: OPEN, source: problem.into() }
    })?;
    let mut response = answer(OPEN, encode("key", &OpenedKey { key }))?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
