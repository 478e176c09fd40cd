use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use super::gate::{Pass, ReadGuard};
use super::stream::{self, Following};
use super::{Peer, answer, typed};
use crate::noun::Kind;
use crate::port::{ArchiveQuery, Archived, Cursor, EventLog, History, Page, SampleQuery, Store};
use crate::revision::Revision;
use crate::scope::Scope;
use crate::server::Caller;
use crate::server::problem::Refused;
use crate::wire::peer::{self, Whoami, encode_page};
use crate::wire::{Text, WireError};

type Answer = Result<Response<Body>, Refused>;

/// The most entries of a page, whatever is asked for.
const MOST_ENTRIES: usize = 1_000;
/// A page with more bytes than this is asked for again with fewer entries.
const PAGE_BYTES: usize = 8 << 20;
const LINES: &str = "application/x-ndjson";

#[derive(Deserialize)]
struct SnapshotQuery {
    scope: String,
}

pub(super) async fn snapshot<S: Store>(State(peer): State<Arc<Peer<S>>>, head: Parts) -> Answer {
    const SNAPSHOT: &str = "snapshot";
    let caller = peer.authenticator.authenticate(&head).await?;
    let scope = word(SNAPSHOT, "scope", &query::<SnapshotQuery>(SNAPSHOT, &head)?.scope)?;
    peer.readable(SNAPSHOT, caller, scope).await?;
    let permit = peer.stream(SNAPSHOT)?;
    let snapshot = peer.store.snapshot(scope).await?;
    Ok(typed(LINES, stream::snapshot(snapshot, permit)))
}

#[derive(Deserialize)]
struct TailQuery {
    scope: String,
    after: u64,
}

pub(super) async fn tail<S: Store + EventLog + 'static>(State(peer): State<Arc<Peer<S>>>, head: Parts) -> Answer {
    const TAIL: &str = "tail";
    let caller = peer.authenticator.authenticate(&head).await?;
    let asked = query::<TailQuery>(TAIL, &head)?;
    let scope = word(TAIL, "scope", &asked.scope)?;
    let pass = peer.readable(TAIL, caller, scope).await?;
    let permit = peer.stream(TAIL)?;
    let guard = ReadGuard::new(peer.clone(), caller, scope, pass.snapshot.objects);
    let tail = peer.store.tail(scope, Revision::new(asked.after));
    let closing = peer.options.closing.clone();
    Ok(typed(LINES, Following::new(tail, guard, peer.options.heartbeat, closing, permit).into_body()))
}

#[derive(Deserialize)]
struct ArchivedQuery {
    kind: String,
    app: Option<String>,
    cursor: String,
    limit: usize,
}

pub(super) async fn archived<S: Store + History>(State(peer): State<Arc<Peer<S>>>, head: Parts) -> Answer {
    const ARCHIVED: &str = "read the history";
    let caller = peer.authenticator.authenticate(&head).await?;
    let asked = query::<ArchivedQuery>(ARCHIVED, &head)?;
    let kind = Kind::from_text(&asked.kind).ok_or_else(|| bad(ARCHIVED, "kind", "this kind of object is unknown"))?;
    let app = asked.app.as_deref().map(|app| parse(ARCHIVED, "app", app)).transpose()?;
    let cursor: Cursor = word(ARCHIVED, "cursor", &asked.cursor)?;
    peer.readable(ARCHIVED, caller, app.map_or(Scope::All, Scope::App)).await?;
    let mut limit = asked.limit.min(MOST_ENTRIES);
    loop {
        let page: Page<Archived> = peer.store.archived(ArchiveQuery { kind, app }, cursor, limit).await?;
        let body = encode_page("page", &page);
        if page.entries.len() > 1 && body.as_ref().is_ok_and(|body| body.len() > PAGE_BYTES) {
            limit = page.entries.len() / 2;
            continue;
        }
        return answer(ARCHIVED, body);
    }
}

#[derive(Deserialize)]
struct AuditQuery {
    cursor: String,
    limit: usize,
}

pub(super) async fn audit<S: Store + History>(State(peer): State<Arc<Peer<S>>>, head: Parts) -> Answer {
    const AUDIT: &str = "read the audit record";
    let caller = peer.authenticator.authenticate(&head).await?;
    let asked = query::<AuditQuery>(AUDIT, &head)?;
    let cursor = word(AUDIT, "cursor", &asked.cursor)?;
    peer.readable(AUDIT, caller, Scope::All).await?;
    let page = peer.store.audit(cursor, asked.limit.min(MOST_ENTRIES)).await?;
    answer(AUDIT, encode_page("page", &page))
}

pub(super) async fn seen<S: Store>(State(peer): State<Arc<Peer<S>>>, head: Parts) -> Answer {
    const SEEN: &str = "read who was seen";
    let caller = peer.authenticator.authenticate(&head).await?;
    peer.readable(SEEN, caller, Scope::All).await?;
    let page = Page { entries: peer.presence.seen().await?, next: None };
    answer(SEEN, encode_page("seen", &page))
}

#[derive(Deserialize)]
struct SamplesQuery {
    app: String,
    process: Option<String>,
    release: Option<String>,
    measure: String,
    window_ms: u64,
}

pub(super) async fn samples<S: Store>(State(peer): State<Arc<Peer<S>>>, head: Parts) -> Answer {
    const QUERY: &str = "query samples";
    let caller = peer.authenticator.authenticate(&head).await?;
    let asked = query::<SamplesQuery>(QUERY, &head)?;
    let query = SampleQuery {
        app: parse(QUERY, "app", &asked.app)?,
        process: asked.process.as_deref().map(|process| parse(QUERY, "process", process)).transpose()?,
        release: asked.release.as_deref().map(|release| parse(QUERY, "release", release)).transpose()?,
        measure: peer::decode_word("measure", &asked.measure).map_err(|error| unreadable(QUERY, "measure", &error))?,
        window: Duration::from_millis(asked.window_ms),
    };
    peer.readable(QUERY, caller, Scope::App(query.app)).await?;
    let page = Page { entries: peer.samples.query(query).await?, next: None };
    answer(QUERY, encode_page("samples", &page))
}

pub(super) async fn whoami<S: Store>(State(peer): State<Arc<Peer<S>>>, head: Parts) -> Answer {
    const WHOAMI: &str = "ask who is asking";
    let principal = match peer.authenticator.authenticate(&head).await? {
        Caller::Trusted => None,
        Caller::Is(principal) => Some(principal),
    };
    answer(WHOAMI, peer::encode("caller", &Whoami { principal }))
}

impl<S: Store> Peer<S> {
    async fn readable(&self, operation: &'static str, caller: Caller, scope: Scope) -> Result<Pass, Refused> {
        let pass = self.pass(operation, caller).await?;
        pass.may_read(scope).map_err(|denial| Refused::denied(operation, denial))?;
        Ok(pass)
    }

    fn stream(&self, operation: &'static str) -> Result<OwnedSemaphorePermit, Refused> {
        self.streams
            .clone()
            .try_acquire_owned()
            .map_err(|_| Refused::unavailable(operation, "there are too many readers"))
    }
}

pub(in crate::server) fn query<T: DeserializeOwned>(operation: &'static str, head: &Parts) -> Result<T, Refused> {
    let query = Query::try_from_uri(&head.uri).map_err(|rejection| bad(operation, "query", rejection.body_text()))?;
    Ok(query.0)
}

fn word<T: Text>(operation: &'static str, field: &'static str, text: &str) -> Result<T, Refused> {
    T::decode(text).map_err(|error| unreadable(operation, field, &error))
}

pub(in crate::server) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    operation: &'static str,
    field: &'static str,
    text: &str,
) -> Result<T, Refused> {
    text.parse().map_err(|error: T::Err| bad(operation, field, error.to_string()))
}

fn unreadable(operation: &'static str, field: &'static str, error: &WireError) -> Refused {
    bad(operation, field, crate::error::Chain(error).to_string())
}

fn bad(operation: &'static str, field: &'static str, problem: impl Into<String>) -> Refused {
    Refused::malformed(StatusCode::BAD_REQUEST, "malformed", operation, field, problem)
}
