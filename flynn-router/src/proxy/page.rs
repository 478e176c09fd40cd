//! The answers that the router gives itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::Failure;
use super::body::ResponseBody;
use super::journal::Journal;
use crate::table::Host;

/// A failure, and what becomes of the record of its request.
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    pub(crate) journal: Journal,
    /// The page for browsers, if it is not the router's own.
    pub(crate) page: Option<Arc<str>>,
    /// How long the client should wait before it tries again.
    pub(crate) retry_after: Option<Duration>,
}

impl Failed {
    pub(crate) fn new(failure: Failure, journal: Journal) -> Self {
        Self { failure, journal, page: None, retry_after: None }
    }
}

/// How a failure is told to this client.
pub(crate) struct Page {
    pub(crate) html: bool,
    pub(crate) bodiless: bool,
}

impl Page {
    pub(crate) fn answer(self, failed: Failed) -> Response<ResponseBody> {
        let Failed { failure, mut journal, page, retry_after } = failed;
        // A body that breaks the rules fails as a broken connection would; the gate knows better.
        let failure = match failure {
            Failure::ClientClosed | Failure::BackendClosed => journal.spoiled().unwrap_or(failure),
            failure => failure,
        };
        let (kind, text) = match (self.html, page) {
            (true, Some(page)) => ("text/html; charset=utf-8", page.to_string()),
            (true, None) => ("text/html; charset=utf-8", failure.html()),
            (false, _) => ("text/plain; charset=utf-8", failure.text()),
        };
        let status = failure.status().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = retry_after {
            fields.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
        }
        let closes = matches!(
            failure,
            Failure::BadRequest(_)
                | Failure::MethodRefused
                | Failure::ClientTooSlow
                | Failure::ClientClosed
                | Failure::BodyTooLarge
        );
        if closes {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        journal.record.status = status.as_u16();
        journal.record.failure = Some(failure);
        let mut answer = Response::new(ResponseBody::of_page(Bytes::from(text), !self.bodiless, journal));
        (*answer.status_mut(), *answer.headers_mut()) = (status, fields);
        answer
    }
}

/// Sends the client to the same address on `https`. Only a request that can be repeated as it is may be turned
/// into a GET by old clients.
pub(crate) fn redirect(host: &Host, port: u16, head: &Parts, mut journal: Journal) -> Response<ResponseBody> {
    let status = match head.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let location = match port {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    };
    journal.record.status = status.as_u16();
    let mut answer = Response::new(ResponseBody::of_page(Bytes::new(), false, journal));
    *answer.status_mut() = status;
    // Host and target of a request are visible characters.
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    answer
}
