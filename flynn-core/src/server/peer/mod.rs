//! The protocol between Flynn's own processes: how agents, routers and others use a store.
//!
//! It is apart from the public API and says what the ports say; [`RemoteStore`](crate::client::RemoteStore)
//! is the other end. All is JSON below `/peer/v1/`:
//!
//! | Request | Port | Who may |
//! |---|---|---|
//! | `POST commit` | [`Store::commit`] | the principal of the batch |
//! | `GET snapshot?scope=` | [`Store::snapshot`] | who may read the scope |
//! | `GET tail?scope=&after=` | [`EventLog::tail`] | who may read the scope, as long as they may |
//! | `GET archived?kind=&app=&cursor=&limit=` | [`History::archived`] | who may read the app; without one, everything |
//! | `GET audit?cursor=&limit=` | [`History::audit`] | who may read everything |
//! | `POST campaign`, `POST resign` | [`Elections`] | who may change the deployment; for the controller's seat, the trusted |
//! | `POST beat` | [`Presence::beat`] | the member |
//! | `GET seen` | [`Presence::seen`] | who may read everything |
//! | `POST samples` | [`Samples::record`] | a node of its own jobs, a router |
//! | `GET samples?app=&measure=&window_ms=&process=&release=` | [`Samples::query`] | who may read the app |
//! | `GET whoami` | – | everyone with a credential |
//! | [`blob_routes`] | [`Blobs`](crate::port::Blobs) | the trusted, nodes |
//! | [`environment_routes`] | – | the node of the job |
//! | [`certificate_routes`] | – | routers |
//! | [`Links::routes`](crate::server::link::Links::routes) | [`NodeLink`](crate::port::NodeLink) | the node |
//!
//! The last four are routers of their own, to be merged with [`router`] by a host that has what they serve.
//!
//! # Who asks
//!
//! A [`Caller::Trusted`] may name any principal in a batch. Any other caller must name its own: a batch that
//! names somebody else is refused and not quietly attributed to the caller, because it was written by
//! somebody who believes something that is not so. The bearer of a node's or router's token may also
//! name that node or router, which can do exactly the same; agents and routers do, so that the
//! record of what people did is not filled by loops, and so that a new token does not make them another principal. The
//! commit then expects the token to be there, so that a revoked one opens nothing on this way either.
//!
//! Reading is judged by [`authorize_read`](crate::rule::authorize_read): for a tail at its start, again
//! whenever tokens, users, grants or apps have changed, before anything that was committed since is shown, and
//! at each heartbeat, when the time of a token may be over. So the tail of a revoked token ends with the commit
//! that revoked it.
//!
//! People are judged like everyone, unless [`PeerOptions::without_people`] leaves them to a public API.
//!
//! # Streams
//!
//! Snapshots and tails are lines of JSON, one object or event each. They are made as fast as they are
//! read: a reader that stops costs the server no more than one commit and what the kernel keeps for
//! a connection, and is told `Compacted` when the log does not reach back to it any more. A tail without news
//! has a heartbeat line every few seconds, and its last line says why it ended.
//!
//! # Refusals
//!
//! Every refusal is a problem detail (RFC 9457) with a stable `code` (`not_found`, `conflict`, `invalid`,
//! `not_allowed`, `unauthenticated`, `unavailable`, `internal`, `malformed`, `too_large`, `too_slow`,
//! `no_such_route`) and, in `error`, the [`StoreError`](crate::StoreError) that the other end gives to its caller.
//!
//! # Dropped requests
//!
//! A handler whose client hangs up is dropped. The ports promise to bear that: what was asked is done
//! completely or not at all, and the idempotency key tells which. So no task is spawned for it.

mod blobs;
mod certificate;
mod environment;
mod gate;
mod read;
mod stream;
mod write;

pub use blobs::{BlobOptions, blob_routes};
pub use certificate::certificate_routes;
pub use environment::environment_routes;
pub(super) use gate::Gate;
pub(super) use read::{parse, query};

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode, Uri};
use axum::routing::{any, get, post};
use tokio::sync::{Semaphore, watch};

use super::problem::Refused;
use super::{Authenticator, Caller};
use crate::port::{Elections, EventLog, History, Presence, Samples, Store};
use crate::time::{Clock, SystemClock};
use crate::wire::WireError;

/// How a [`router`] behaves. The default is for production.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    clock: Arc<dyn Clock>,
    heartbeat: Duration,
    body_limit: usize,
    body_deadline: Duration,
    tails: usize,
    closing: Option<watch::Receiver<bool>>,
    people: bool,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            heartbeat: Duration::from_secs(5),
            body_limit: 16 << 20,
            body_deadline: Duration::from_secs(30),
            tails: 4_096,
            closing: None,
            people: true,
        }
    }
}

impl PeerOptions {
    /// Lets tokens expire by another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Writes a heartbeat line after this long without news; 5 seconds by default.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Refuses bodies of more bytes than this, 16 MiB by default, and those that take longer than
    /// `deadline` to arrive, 30 seconds by default.
    #[must_use]
    pub fn with_body_limits(mut self, bytes: usize, deadline: Duration) -> Self {
        (self.body_limit, self.body_deadline) = (bytes, deadline);
        self
    }

    /// Serves at most this many snapshots and tails at the same time; 4,096 by default.
    #[must_use]
    pub fn with_streams(mut self, most: usize) -> Self {
        self.tails = most;
        self
    }

    /// Ends all tails once `closing` turns true, or its sender is gone. A server that waits for its
    /// connections to finish would otherwise wait for ever.
    #[must_use]
    pub fn closing(mut self, closing: watch::Receiver<bool>) -> Self {
        self.closing = Some(closing);
        self
    }

    /// Serves nodes, routers and the trusted alone, and tells everyone else no more than who they are. A store
    /// that people reach by a public API wants this: what that API checks besides the rules of the store, such as
    /// whose image a release has and which hosts are free to take, they could leave out here.
    #[must_use]
    pub fn without_people(mut self) -> Self {
        self.people = false;
        self
    }
}

/// What the handlers share.
pub(super) struct Peer<S> {
    store: Arc<S>,
    presence: Arc<dyn Presence>,
    samples: Arc<dyn Samples>,
    authenticator: Arc<dyn Authenticator>,
    options: PeerOptions,
    streams: Arc<Semaphore>,
}

/// The routes of the protocol, below `/peer/v1/`. It has no fallback, so that a host can merge it with others.
///
/// `store` has to be one that gives a snapshot of everything in constant time, as those in this process do.
pub fn router<S>(
    store: Arc<S>,
    presence: Arc<dyn Presence>,
    samples: Arc<dyn Samples>,
    authenticator: Arc<dyn Authenticator>,
    options: PeerOptions,
) -> Router
where
    S: Store + EventLog + History + Elections + 'static,
{
    let streams = Arc::new(Semaphore::new(options.tails.min(Semaphore::MAX_PERMITS)));
    let limit = DefaultBodyLimit::max(options.body_limit);
    let peer = Arc::new(Peer { store, presence, samples, authenticator, options, streams });
    Router::new()
        .route("/peer/v1/commit", post(write::commit))
        .route("/peer/v1/campaign", post(write::campaign))
        .route("/peer/v1/resign", post(write::resign))
        .route("/peer/v1/beat", post(write::beat))
        .route("/peer/v1/samples", post(write::samples).get(read::samples))
        .route("/peer/v1/snapshot", get(read::snapshot))
        .route("/peer/v1/tail", get(read::tail))
        .route("/peer/v1/archived", get(read::archived))
        .route("/peer/v1/audit", get(read::audit))
        .route("/peer/v1/seen", get(read::seen))
        .route("/peer/v1/whoami", get(read::whoami))
        .method_not_allowed_fallback(async |uri: Uri| no_such_route(StatusCode::METHOD_NOT_ALLOWED, &uri))
        .route("/peer/v1/{*rest}", any(async |uri: Uri| no_such_route(StatusCode::NOT_FOUND, &uri)))
        .layer(limit)
        .with_state(peer)
}

fn no_such_route(status: StatusCode, uri: &Uri) -> Refused {
    let path: String = uri.path().chars().take(80).collect();
    Refused::malformed(status, "no_such_route", "request", "path", format!("`{path}` is not asked like this"))
}

impl<S: Store> Peer<S> {
    /// Who asks, and what is in the body.
    async fn receive(&self, operation: &'static str, request: Request) -> Result<(Caller, String), Refused> {
        let (head, body) = request.into_parts();
        let caller = self.authenticator.authenticate(&head).await?;
        let refuse = |status, code, problem: String| Refused::malformed(status, code, operation, "body", problem);
        let read = Bytes::from_request(Request::from_parts(head, body), &());
        let Ok(read) = tokio::time::timeout(self.options.body_deadline, read).await else {
            let problem = format!("it did not arrive within {:?}", self.options.body_deadline);
            return Err(refuse(StatusCode::REQUEST_TIMEOUT, "too_slow", problem));
        };
        let body = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let problem = format!("it has more than {} bytes: split the request", self.options.body_limit);
                refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", problem)
            }
            _ => refuse(StatusCode::BAD_REQUEST, "malformed", rejection.body_text()),
        })?;
        let text = String::from_utf8(body.into())
            .map_err(|_| refuse(StatusCode::BAD_REQUEST, "malformed", String::from("it is not UTF-8")))?;
        Ok((caller, text))
    }
}

/// An answer in JSON.
fn answer(operation: &'static str, body: Result<String, WireError>) -> Result<Response<Body>, Refused> {
    let body = body.map_err(|source| crate::StoreError::Internal { operation, source: source.into() })?;
    Ok(typed("application/json", Body::from(body)))
}

fn typed(media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
