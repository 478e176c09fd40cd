use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use uuid::Uuid;

use super::hub::{Claim, Hub};
use super::way::Lines;
use crate::noun::NodeId;
use crate::port::{LinkError, Store};
use crate::server::Authenticator;
use crate::server::peer::{Gate, parse, query};
use crate::server::problem::Refused;
use crate::wire::peer::{WayRefusal, decode};

struct Door<S> {
    gate: Gate<S>,
    hub: Arc<Hub>,
}

type Answer = Result<Response<Body>, Refused>;

/// What the bytes of a request are called in the upgrade.
const PROTOCOL: &str = "flynn-link";
/// A refusal is short, and comes at once.
const LONGEST_REFUSAL: usize = 64 << 10;
const REFUSAL_DEADLINE: Duration = Duration::from_secs(30);

pub(super) fn router<S: Store + 'static>(
    hub: Arc<Hub>,
    store: Arc<S>,
    authenticator: Arc<dyn Authenticator>,
) -> Router {
    let gate = Gate::new(store, authenticator, hub.options.clock.clone());
    Router::new()
        .route("/peer/v1/link/{node}", get(way::<S>))
        .route("/peer/v1/link/{node}/beat", post(beat::<S>))
        .route("/peer/v1/link/{node}/{id}", post(dial::<S>))
        .route("/peer/v1/link/{node}/{id}/refusal", post(refuse::<S>))
        .with_state(Arc::new(Door { gate, hub }))
}

const LINK: &str = "link";

impl<S: Store> Door<S> {
    async fn admit(&self, head: &Parts, node: &str) -> Result<NodeId, Refused> {
        let node = parse(LINK, "node", node)?;
        let pass = self.gate.pass(LINK, head).await?;
        pass.may_link(node).map_err(|denial| Refused::denied(LINK, denial))?;
        Ok(node)
    }
}

async fn way<S: Store>(State(door): State<Arc<Door<S>>>, Path(node): Path<String>, head: Parts) -> Answer {
    let node = door.admit(&head, &node).await?;
    let options = &door.hub.options;
    let lines = Lines::new(door.hub.register(node), options.heartbeat, options.closing.clone());
    let mut response = Response::new(lines.into_body());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[derive(Deserialize)]
struct BeatQuery {
    session: Uuid,
}

async fn beat<S: Store>(State(door): State<Arc<Door<S>>>, Path(node): Path<String>, head: Parts) -> Answer {
    let node = door.admit(&head, &node).await?;
    let BeatQuery { session } = query(LINK, &head)?;
    match door.hub.beat(node, session) {
        true => Ok(empty(StatusCode::NO_CONTENT)),
        false => Err(gone("session", "this way is not open any more: dial again")),
    }
}

async fn dial<S: Store>(
    State(door): State<Arc<Door<S>>>,
    Path((node, id)): Path<(String, Uuid)>,
    mut head: Parts,
) -> Answer {
    let node = door.admit(&head, &node).await?;
    let asked = head.headers.get(UPGRADE).is_some_and(|protocol| protocol.as_bytes() == PROTOCOL.as_bytes());
    let upgrade = head.extensions.remove::<OnUpgrade>().filter(|_| asked);
    let Some(upgrade) = upgrade else {
        let problem = format!("expected an upgrade of HTTP/1.1 to `{PROTOCOL}`");
        return Err(Refused::malformed(StatusCode::UPGRADE_REQUIRED, "malformed", LINK, "upgrade", problem));
    };
    door.settle(node, id, Ok(upgrade))?;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

async fn refuse<S: Store>(
    State(door): State<Arc<Door<S>>>,
    Path((node, id)): Path<(String, Uuid)>,
    request: Request,
) -> Answer {
    let (head, body) = request.into_parts();
    let node = door.admit(&head, &node).await?;
    let bad = |problem: &str| Refused::malformed(StatusCode::BAD_REQUEST, "malformed", LINK, "body", problem);
    let read = tokio::time::timeout(REFUSAL_DEADLINE, to_bytes(body, LONGEST_REFUSAL)).await;
    let body = read.map_err(|_| bad("it did not arrive in time"))?.map_err(|error| bad(&error.to_string()))?;
    let text = str::from_utf8(&body).map_err(|_| bad("it is not UTF-8"))?;
    let refusal: WayRefusal = decode("refusal", text).map_err(|error| Refused::unreadable(LINK, &error))?;
    let error = match refusal {
        WayRefusal::NotFound { job } => LinkError::NotFound(job),
        WayRefusal::Refused { problem } => LinkError::Refused { problem },
        WayRefusal::Unavailable { problem } => LinkError::Unavailable { problem },
    };
    door.settle(node, id, Err(error))?;
    Ok(empty(StatusCode::NO_CONTENT))
}

impl<S> Door<S> {
    fn settle(&self, node: NodeId, id: Uuid, claim: Claim) -> Result<(), Refused> {
        match self.hub.claim(node, id, claim) {
            true => Ok(()),
            false => Err(gone("id", "nobody waits for this any more")),
        }
    }
}

fn gone(field: &'static str, problem: &'static str) -> Refused {
    Refused::malformed(StatusCode::GONE, "gone", LINK, field, problem)
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
