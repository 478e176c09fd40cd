//! The answers that the router gives itself.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) html: bool,
    pub(crate) bodiless: bool,
}

/// An answer of the router.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) status: u16,
    /// Why it is not the app's.
    pub(crate) failure: Option<Failure>,
    /// Whether the client's connection ends with it.
    pub(crate) closes: bool,
    fields: Vec<(HeaderName, Cow<'static, str>)>,
    content: String,
    /// Whether only its head is sent.
    bodiless: bool,
}

impl Page {
    pub(crate) fn sheet(self, failure: Failure, page: Option<Arc<str>>, retry_after: Option<Duration>) -> Sheet {
        let (kind, content) = match (self.html, page) {
            (true, Some(page)) => ("text/html; charset=utf-8", page.to_string()),
            (true, None) => ("text/html; charset=utf-8", failure.html()),
            (false, _) => ("text/plain; charset=utf-8", failure.text()),
        };
        let mut fields = vec![(header::CONTENT_TYPE, kind.into()), (header::CACHE_CONTROL, "no-store".into())];
        if let Some(wait) = retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            fields.push((header::RETRY_AFTER, seconds.to_string().into()));
        }
        let closes = matches!(
            failure,
            Failure::BadRequest(_)
                | Failure::MethodRefused
                | Failure::ClientTooSlow
                | Failure::ClientClosed
                | Failure::BodyTooLarge
        );
        let status = failure.status().unwrap_or(502);
        Sheet { status, failure: Some(failure), closes, fields, content, bodiless: self.bodiless }
    }

    pub(crate) fn answer(self, failed: Failed) -> Response<ResponseBody> {
        let Failed { failure, journal, page, retry_after } = failed;
        // A body that breaks the rules fails as a broken connection would; the gate knows better.
        let failure = match failure {
            Failure::ClientClosed | Failure::BackendClosed => journal.spoiled().unwrap_or(failure),
            failure => failure,
        };
        self.sheet(failure, page, retry_after).answer(journal)
    }
}

impl Sheet {
    /// Sends the client to the same address on `https`. Only a request that can be repeated as it is may be turned
    /// into a GET by old clients.
    pub(crate) fn redirect(host: &Host, port: u16, target: &str, is_safe: bool) -> Self {
        let path = if target.starts_with('/') { target } else { "/" };
        let location = match port {
            443 => format!("https://{host}{path}"),
            port => format!("https://{host}:{port}{path}"),
        };
        let status = if is_safe { 301 } else { 308 };
        let fields = vec![(header::LOCATION, location.into())];
        Self { status, failure: None, closes: false, fields, content: String::new(), bodiless: true }
    }

    fn answer(self, mut journal: Journal) -> Response<ResponseBody> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut fields = HeaderMap::new();
        // The texts are made of visible characters.
        let written = self.fields.iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(text).ok()?)));
        fields.extend(written.map(|(name, value)| (name.clone(), value)));
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(self.content.len()));
        if self.closes {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        journal.record.status = status.as_u16();
        journal.record.failure = self.failure;
        let mut answer = Response::new(ResponseBody::of_page(Bytes::from(self.content), !self.bodiless, journal));
        (*answer.status_mut(), *answer.headers_mut()) = (status, fields);
        answer
    }

    /// Writes the whole answer to `out` and says how long its body is.
    pub(crate) fn write(&self, out: &mut Vec<u8>, closes: bool, date: &[u8]) -> usize {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        // Writing to memory does not fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
        for (name, text) in &self.fields {
            let _ = write!(out, "{name}: {text}\r\n");
        }
        let _ = write!(out, "content-length: {}\r\n", self.content.len());
        if closes {
            out.extend_from_slice(b"connection: close\r\n");
        }
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n\r\n");
        if self.bodiless {
            return 0;
        }
        out.extend_from_slice(self.content.as_bytes());
        self.content.len()
    }
}

/// A redirect to `https` as an answer to this request.
pub(crate) fn redirect(host: &Host, port: u16, head: &Parts, journal: Journal) -> Response<ResponseBody> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let is_safe = matches!(head.method, Method::GET | Method::HEAD);
    Sheet::redirect(host, port, target, is_safe).answer(journal)
}
