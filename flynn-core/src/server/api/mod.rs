//! The public API under `/v1`, which people and their tools use.
//!
//! [`router`] is all a host needs; it describes itself at `/v1/openapi.json` (OpenAPI 3.1). Requests and answers
//! are the documents of [`api`](crate::api), every refusal is a [`Problem`](crate::api::Problem).
//!
//! # Who asks
//!
//! The [`Authenticator`](super::Authenticator) says. Every change is committed in the name of the caller's own
//! token. A [`Caller::Trusted`](super::Caller::Trusted) could open the store as well, so it is refused nothing; it
//! speaks for the administrator who was made first. What a caller may not read is not found, just as if it were not there;
//! what it may read and not change is forbidden.
//!
//! # Changes
//!
//! A change is decided from the state as it is and committed on the condition that what it went by is unchanged;
//! if it is not, the decision is made again. A request with `If-Match` is for one version of its object and is refused as
//! `stale` for any other. A request with an `Idempotency-Key` can be repeated: what was done before is not done
//! again. The answer to a change shows the state with the change in it, and so does every later answer of this
//! server. The secret of a token is shown to who made it and never again.
//!
//! # What is not here
//!
//! TCP routes, certificates by ACME, volumes, add-ons and log drains, images in registries, and promoting a
//! deployment. Commits of the trusted are not in the audit record, which is of bearers. A token for another user than
//! oneself is made only over the machine's own socket, but for the first one of a user. Nodes add themselves, and are not added here.

mod apps;
mod builds;
mod call;
mod certificates;
mod config;
mod deploys;
mod document;
mod domains;
mod edge;
mod edit;
mod error;
mod exchange;
mod health;
mod images;
mod incoming;
mod login;
mod metrics;
mod nodes;
mod openapi;
mod paging;
mod processes;
mod quotas;
mod readiness;
mod releases;
mod routes;
mod state;
mod stream;
mod teams;
mod tokens;
mod whoami;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};

pub(crate) use call::Call;
pub use edge::Edge;
pub(crate) use error::ApiError;
pub use readiness::Readiness;
pub use state::{ApiOptions, ApiState, SourceIntake, TakenImage};
pub use stream::Streams;

use crate::id::Ids;

/// What the handlers share.
pub(crate) struct Api {
    pub(crate) state: ApiState,
    ids: Mutex<Ids>,
    requests: metrics::Requests,
    description: OnceLock<String>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Api {
    fn describe_as(&self, document: String) {
        // The one router of this state is made once.
        let _ = self.description.set(document);
    }

    fn described(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.description.get().cloned().unwrap_or_default()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// The routes of the API: `/v1/…`, `/healthz`, `/readyz` and `/metrics`. It has no fallback, so that a host can
/// merge it with others.
pub fn router(state: ApiState) -> Router {
    let requests = metrics::Requests::default();
    let api = Api { state, ids: Mutex::new(Ids::from_entropy()), requests, description: OnceLock::new() };
    let routes = routes::Routes::new(Arc::new(api));
    let parts = [
        health::routes,
        login::routes,
        whoami::routes,
        tokens::routes,
        teams::routes,
        quotas::routes,
        apps::routes,
        config::routes,
        releases::routes,
        processes::routes,
        builds::routes,
        images::routes,
        domains::routes,
        certificates::routes,
        nodes::routes,
        stream::routes,
    ];
    parts.into_iter().fold(routes, |routes, part| part(routes)).finish()
}
