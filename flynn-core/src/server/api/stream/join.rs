//! WebSockets to processes.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::bridge::{Session, Target};
use crate::change::Change;
use crate::id::Id;
use crate::noun::{Job, Objects, OneOffInput, Purpose, Stored, Terminal};
use crate::rule::{Authority, Denial, authorize};
use crate::server::api::processes::job_named;
use crate::server::api::{ApiError, Call};

pub(super) async fn attach(call: Call, (): ()) -> Result<Response<Body>, ApiError> {
    join(&call, Target::First)
}

pub(super) async fn exec(call: Call, (): ()) -> Result<Response<Body>, ApiError> {
    join(&call, Target::Further)
}

fn join(call: &Call, target: Target) -> Result<Response<Body>, ApiError> {
    let app = call.app()?.id;
    let job = job_named(call.objects(), app, call.param("job"))?;
    may_join(&call.authority, &job, call.objects())?;
    let (upgrade, accept) = handshake(&call.head)?;
    let streams = &call.api.state.options.streams;
    let permit = streams.begin()?;
    let (api, closing) = (call.api.clone(), streams.closing());
    let session = Session { api, job: job.id, target, closing, caller: call.caller };
    streams.spawn(async move {
        session.run(upgrade).await;
        drop(permit);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Who may run something in the app may also join it.
pub(super) fn may_join(authority: &Authority, job: &Stored<Job>, objects: &Objects) -> Result<(), Denial> {
    let purpose = Purpose::OneOff { terminal: Terminal::None, input: OneOffInput::Attached };
    let wish = Job { purpose, workload: Arc::clone(&job.spec.workload), node: None, ..job.spec.clone() };
    let change = Change::create(Id::from_uuid(uuid::Uuid::new_v4()), job.team, wish);
    authorize(authority, &change, objects)
}

/// The opening handshake (RFC 6455 §4.2).
fn handshake(head: &Parts) -> Result<(OnUpgrade, HeaderValue), ApiError> {
    let has = |name: HeaderName, wanted: &str| {
        let values = head.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    let refuse = |detail: &str| {
        let detail = format!("this is a WebSocket (RFC 6455): {detail}");
        ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", detail)
    };
    if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") || !has(SEC_WEBSOCKET_VERSION, "13") {
        return Err(refuse("ask for an upgrade to `websocket` of version 13"));
    }
    let key = head.headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| refuse("the key is missing"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(ApiError::internal)?;
    let upgrade = head.extensions.get::<OnUpgrade>().cloned();
    Ok((upgrade.ok_or_else(|| refuse("the connection cannot be upgraded: use HTTP/1.1"))?, accept))
}
