//! The ports, asked over the wire.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use tokio::time::Instant;

use super::RemoteStore;
use super::call::{Fault, unreadable};
use super::lines::Lines;
use super::tail::tail;
use crate::change::Batch;
use crate::election::{Campaign, Epoch, Seat};
use crate::error::{Chain, StoreError};
use crate::noun::Objects;
use crate::port::{
    ArchiveQuery, Archived, AuditRecord, Beat, Committed, Cursor, Elections, Event, EventLog, History, Member, Page,
    Presence, Sample, SampleQuery, Samples, Seen, Snapshot, Store, Tail,
};
use crate::revision::Revision;
use crate::rule::Invalid;
use crate::scope::Scope;
use crate::wire::peer::{Beating, Candidacy, Line, Resignation, decode, decode_page, encode, encode_word};
use crate::wire::{Text, WireError};

/// Points in time have whole milliseconds, so a span counts for no more either.
fn whole(span: Duration) -> Duration {
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// A request that has no form cannot succeed, here or there.
fn unwritable(operation: &'static str, what: &'static str) -> impl Fn(WireError) -> StoreError {
    move |error| {
        let field = match &error {
            WireError::Unwritable { field, .. } | WireError::Unreadable { field, .. } => field.clone(),
        };
        let invalid = Invalid::new(field, Chain(&error).to_string());
        StoreError::Invalid { operation, what: what.to_owned(), invalid }
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        let deadline = Instant::now() + self.caller.options.deadline;
        let read = self.caller.until(deadline, self.read_snapshot(scope)).await;
        read.map_err(|fault| fault.into_error("snapshot"))
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        const COMMIT: &str = "commit";
        let body = encode("batch", &batch).map_err(unwritable(COMMIT, "batch"))?;
        let answer = match batch.idempotency {
            Some(_) => self.caller.post_repeatedly(COMMIT, "commit", body).await?,
            None => self.caller.post(COMMIT, "commit", body).await?,
        };
        decode("committed", &answer).map_err(unreadable(COMMIT))
    }
}

impl RemoteStore {
    async fn read_snapshot(&self, scope: Scope) -> Result<Snapshot, Fault> {
        let path = format!("snapshot?scope={}", scope.encode());
        let response = self.caller.open(Method::GET, &path, None).await?;
        let mut lines = Lines::new(self.caller.clone(), response);
        let disorder = || Fault::Lost(self.caller.trouble("sent its lines out of order"));
        let Line::Snapshot { revision, at, objects: count } = lines.next().await? else { return Err(disorder()) };
        let mut objects = Objects::default();
        for _ in 0..count {
            match lines.next().await? {
                Line::Event(Event::Put(object)) => drop(objects.insert(object)),
                Line::Opaque(problem) => self.caller.pass_over(&problem),
                Line::Later(word) => self.caller.pass_over(&format!("lines that are {word:?} are unknown")),
                _ => return Err(disorder()),
            }
        }
        Ok(Snapshot { revision, at, objects })
    }

    fn note(&self, opaque: &[WireError]) {
        opaque.iter().for_each(|problem| self.caller.pass_over(&Chain(problem).to_string()));
    }
}

impl EventLog for RemoteStore {
    fn tail(&self, scope: Scope, after: Revision) -> Tail {
        tail(self.caller.clone(), scope, after)
    }
}

#[async_trait]
impl History for RemoteStore {
    async fn archived(&self, query: ArchiveQuery, cursor: Cursor, limit: usize) -> Result<Page<Archived>, StoreError> {
        const ARCHIVED: &str = "read the history";
        let app = query.app.map(|app| format!("&app={app}")).unwrap_or_default();
        let path = format!("archived?kind={}{app}&cursor={}&limit={limit}", query.kind, cursor.encode());
        let answer = self.caller.get(ARCHIVED, &path).await?;
        let (page, opaque) = decode_page("page", &answer).map_err(unreadable(ARCHIVED))?;
        self.note(&opaque);
        Ok(page)
    }

    async fn audit(&self, cursor: Cursor, limit: usize) -> Result<Page<AuditRecord>, StoreError> {
        const AUDIT: &str = "read the audit record";
        let path = format!("audit?cursor={}&limit={limit}", cursor.encode());
        let answer = self.caller.get(AUDIT, &path).await?;
        let (page, opaque) = decode_page("page", &answer).map_err(unreadable(AUDIT))?;
        self.note(&opaque);
        Ok(page)
    }
}

#[async_trait]
impl Elections for RemoteStore {
    async fn campaign(&self, seat: Seat, holder: &str, term: Duration) -> Result<Campaign, StoreError> {
        const CAMPAIGN: &str = "campaign";
        let asked = Candidacy { seat, holder: holder.to_owned(), term: whole(term) };
        let body = encode("campaign", &asked).map_err(unwritable(CAMPAIGN, "campaign"))?;
        let answer = self.caller.post(CAMPAIGN, "campaign", body).await?;
        decode("outcome", &answer).map_err(unreadable(CAMPAIGN))
    }

    async fn resign(&self, seat: Seat, epoch: Epoch) -> Result<(), StoreError> {
        const RESIGN: &str = "resign";
        let body = encode("resignation", &Resignation { seat, epoch }).map_err(unwritable(RESIGN, "resignation"))?;
        self.caller.post(RESIGN, "resign", body).await.map(drop)
    }
}

#[async_trait]
impl Presence for RemoteStore {
    async fn beat(&self, member: Member, beat: Beat, lease: Duration) -> Result<(), StoreError> {
        const BEAT: &str = "beat";
        let body = encode("beat", &Beating { member, beat, lease: whole(lease) }).map_err(unwritable(BEAT, "beat"))?;
        self.caller.post(BEAT, "beat", body).await.map(drop)
    }

    async fn seen(&self) -> Result<Vec<Seen>, StoreError> {
        const SEEN: &str = "read who was seen";
        let answer = self.caller.get(SEEN, "seen").await?;
        let (page, opaque) = decode_page::<Seen>("seen", &answer).map_err(unreadable(SEEN))?;
        self.note(&opaque);
        Ok(page.entries)
    }
}

#[async_trait]
impl Samples for RemoteStore {
    async fn record(&self, samples: Vec<Sample>) -> Result<(), StoreError> {
        const RECORD: &str = "record samples";
        let body = encode("samples", &samples).map_err(unwritable(RECORD, "samples"))?;
        self.caller.post(RECORD, "samples", body).await.map(drop)
    }

    async fn query(&self, query: SampleQuery) -> Result<Vec<Sample>, StoreError> {
        const QUERY: &str = "query samples";
        let measure = encode_word("measure", &query.measure).map_err(unwritable(QUERY, "measure"))?;
        let window = whole(query.window).as_millis();
        let mut path = format!("samples?app={}&measure={measure}&window_ms={window}", query.app);
        if let Some(process) = &query.process {
            path.push_str(&format!("&process={}", process.as_str()));
        }
        if let Some(release) = query.release {
            path.push_str(&format!("&release={release}"));
        }
        let answer = self.caller.get(QUERY, &path).await?;
        let (page, opaque) = decode_page::<Sample>("samples", &answer).map_err(unreadable(QUERY))?;
        self.note(&opaque);
        Ok(page.entries)
    }
}
