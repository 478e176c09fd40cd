//! Server-sent events (WHATWG HTML §9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::Closing;
use crate::api::Notice;
use crate::rule::{Authority, Denial, authorize_read};
use crate::scope::Scope;
use crate::server::Caller;
use crate::server::api::call::principal;
use crate::server::api::{Api, ApiError, Call};

/// How often there is at least a comment, so that nobody takes silence for a broken connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An event, with an id where a reader may go on from it.
pub(super) fn event(name: &str, id: Option<u64>, data: &impl Serialize) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // JSON has no line ends of its own; documents always have a form.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n")
}

pub(super) fn notice(name: &str, text: impl Into<String>) -> String {
    event(name, None, &Notice { text: text.into() })
}

/// What a reader may read, as long as they may.
pub(super) struct Reader {
    api: Arc<Api>,
    caller: Caller,
    scope: Scope,
}

impl Reader {
    pub(super) fn new(call: &Call, scope: Scope) -> Self {
        Self { api: call.api.clone(), caller: call.caller, scope }
    }

    pub(super) fn check(&self) -> Result<(), Denial> {
        let snapshot = self.api.state.view.snapshot();
        let authority = Authority::of(principal(self.caller), &snapshot.objects, self.api.state.clock.now())?;
        authorize_read(&authority, self.scope, &snapshot.objects)
    }
}

struct Answer {
    events: BoxStream<'static, String>,
    reader: Reader,
    closing: Closing,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Answer {
    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        tokio::select! {
            event = self.events.next() => event,
            () = sleep(HEARTBEAT) => Some(match self.reader.check() {
                Ok(()) => String::from(": \n\n"),
                Err(denial) => self.end(denial.to_string()),
            }),
            () = self.closing.wait() => Some(self.end(String::from("the server is shutting down: ask again"))),
        }
    }

    fn end(&mut self, text: String) -> String {
        self.ended = true;
        notice("end", text)
    }
}

/// Answers with `events` for as long as the caller may read `scope`.
pub(super) fn answer(
    call: &Call,
    scope: Scope,
    events: BoxStream<'static, String>,
) -> Result<Response<Body>, ApiError> {
    let streams = &call.api.state.options.streams;
    let (permit, closing) = (streams.begin()?, streams.closing());
    let answer = Answer { events, reader: Reader::new(call, scope), closing, ended: false, _permit: permit };
    let body = Body::from_stream(stream::unfold(answer, |mut answer| async move {
        let event = answer.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(event)), answer))
    }));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
