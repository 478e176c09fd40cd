//! The router's own engine for HTTP/1.1.
//!
//! It serves plain requests from the client's socket to the instance's and back in one task, with few copies and
//! no buffer held while nothing moves. What it does not know to be plain it gives away before anything of it was
//! sent on: the reference path then serves the connection to its end.

mod answer;
mod buffer;
mod chunked;
mod client;
mod download;
mod exchange;
mod forward;
mod lane;
mod request;
mod upload;
mod worker;

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use flynn_core::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::Failure;
use super::body::BodyLimits;
use super::gate::{Framing, HeadLimits};
use super::handler::{Admission, Ends};
use super::journal::Journal;
use super::page::Sheet;
use crate::access::AccessRecord;
use crate::table::Host;
use chunked::ChunkFilter;
use client::{Arrival, Client};
use exchange::{After, Facts, Order};
use forward::{Origin, hex};
pub(crate) use lane::Lanes;
use request::{Field, Kind, RequestHead};
use upload::Upload;
pub(crate) use worker::Worker;

/// A connection that only the reference path can serve on.
pub(crate) struct Remainder<S> {
    pub(crate) stream: S,
    /// What was read from it.
    pub(crate) read: BytesMut,
}

/// What a request comes to before anything of it is sent on.
enum Plan {
    Pass(Order),
    Refuse {
        sheet: Sheet,
        is_open: bool,
        received: Timestamp,
        journal: Journal,
    },
    /// It is for the reference path.
    Leave,
}

/// Serves a client until it goes, or until it asks for something that only the reference path does.
pub(crate) async fn serve<S>(worker: Arc<Worker>, stream: S, ends: Ends) -> Option<Remainder<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut client = Client::new(stream, worker, ends);
    let settings = &client.worker.shared.settings;
    let (mut since, mut limit, keep_alive) = (Instant::now(), settings.head_time, settings.keep_alive);
    loop {
        let after = match client.arrival(since, limit).await {
            Arrival::Head(length) => client.answer(length).await,
            Arrival::Other => After::Leave,
            Arrival::Late => client.give_up().await,
            Arrival::Gone => return None,
        };
        match after {
            After::Next(now) => (since, limit) = (now, keep_alive),
            After::Close => {
                Box::pin(client.linger()).await;
                return None;
            }
            After::Cut => return None,
            After::Leave => return Some(client.leave()),
        }
    }
}

/// What is done for a request. It has memory of its own, which is only there while it lasts.
type Answering<'a> = Pin<Box<dyn Future<Output = After> + Send + 'a>>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Client<S> {
    /// Answers the request whose head has this length.
    fn answer(&mut self, length: usize) -> Answering<'_> {
        match self.plan(length) {
            Plan::Pass(order) => Box::pin(exchange::run(self, order)),
            Plan::Refuse { sheet, is_open, received, journal } => {
                Box::pin(exchange::refuse(self, sheet, is_open, received, journal))
            }
            Plan::Leave => Box::pin(ready(After::Leave)),
        }
    }

    /// Tells a client that it was too slow with its request.
    fn give_up(&mut self) -> Answering<'_> {
        let shared = self.worker.shared.clone();
        let journal = Journal::begin(shared.clone(), shared.blank_record(self.ends), None);
        let sheet = Facts::default().page().sheet(Failure::ClientTooSlow, None, None);
        Box::pin(exchange::refuse(self, sheet, false, shared.clock.now(), journal))
    }

    fn leave(self) -> Remainder<S> {
        Remainder { read: BytesMut::from(self.raw.filled()), stream: self.stream }
    }

    /// Decides what becomes of the request whose head has this length.
    fn plan(&mut self, length: usize) -> Plan {
        let worker = self.worker.clone();
        let mut fields = worker.fields();
        let plan = self.plan_with(&worker, length, &mut fields);
        worker.give_fields(fields);
        plan
    }

    fn plan_with(&mut self, worker: &Worker, length: usize, fields: &mut Vec<Field>) -> Plan {
        let (shared, ends) = (&worker.shared, self.ends);
        let settings = &shared.settings;
        let limits = HeadLimits { bytes: settings.head_bytes, fields: settings.head_fields };
        let head = self.raw.filled().get(..length).unwrap_or_default();
        let Some(request) = request::parse(head, limits, fields) else { return Plan::Leave };
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let Some(host) = text(request.host.of(head)).and_then(Host::parse) else { return Plan::Leave };
        let Some(path) = text(request.path.of(head)) else { return Plan::Leave };
        let mut id = [0; 32];
        let request_id = match client_request_id(head, fields) {
            Some(id) => id,
            None => {
                let (first, second) = id.split_at_mut(16);
                first.copy_from_slice(&hex(shared.dice.roll()));
                second.copy_from_slice(&hex(shared.dice.roll()));
                &id[..]
            }
        };
        let received = shared.clock.now();
        let is_kept = shared.log.is_kept();
        let mut record = shared.empty_record(ends);
        if is_kept {
            describe(&mut record, head, &request, request_id);
        }
        let mut journal = Journal::begin(shared.clone(), record, None);
        let facts = Facts {
            is_head: request.is_head,
            wants_html: request.wants_html,
            wants_trailers: request.wants_trailers,
            closes: request.closes,
            expects: request.expects,
            received,
        };
        let passage = shared.table.enter();
        let refused = match shared.table.lookup(&host, path) {
            None => facts.page().sheet(Failure::NoRoute, None, None),
            Some(route) => match shared.admit(&route, &mut journal, is_kept, false) {
                Admission::Pass => {
                    let most = settings.body_bytes;
                    let limits = BodyLimits { idle: settings.body_idle, rate: settings.body_rate, most };
                    let rules = route.rules();
                    let prefix = rules.strip_prefix.then(|| route.prefix()).filter(|prefix| !prefix.is_empty());
                    let origin = Origin { ends, request_id, received, rules: &rules.request, prefix };
                    let upload = match too_large(&request, most) {
                        true => Err(Failure::BodyTooLarge),
                        false => {
                            let mut out = worker.buffers.text();
                            forward::write(&mut out, head, &request, fields, &origin);
                            let announced = announced_trailers(head, fields);
                            self.raw.consume(length);
                            Upload::begin(out, request.framing, announced, limits, &mut self.raw)
                        }
                    };
                    match upload {
                        Ok(upload) => {
                            self.tidy();
                            return Plan::Pass(Order { route, passage, upload, journal, facts });
                        }
                        // Its page ends the connection, so nobody minds where the request ends.
                        Err(failure) => facts.page().sheet(failure, None, None),
                    }
                }
                Admission::Redirect { port } => {
                    let target = text(request.target.of(head)).unwrap_or("/");
                    let is_safe = matches!(request.method.of(head), b"GET" | b"HEAD");
                    Sheet::redirect(&host, port, target, is_safe)
                }
                Admission::Refuse { failure, page, retry_after } => facts.page().sheet(failure, page, retry_after),
            },
        };
        let whole = self.skip(length, request.framing);
        self.tidy();
        let is_open = whole && !request.closes;
        Plan::Refuse { sheet: refused, is_open, received, journal }
    }
}

impl<S> Client<S> {
    /// Leaves out a request that is refused, and says whether it is there as a whole. If not, nothing that follows
    /// can be told from it.
    fn skip(&mut self, head: usize, framing: Framing) -> bool {
        let rest = self.raw.filled_mut().get_mut(head..).unwrap_or_default();
        let body = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => usize::try_from(length).ok().filter(|length| *length <= rest.len()),
            Framing::Chunked => {
                let mut filter = ChunkFilter::new(false, Vec::new());
                let passed = filter.pass(rest);
                filter.is_done().then_some(passed.read)
            }
        };
        match body {
            Some(body) => self.raw.consume(head + body),
            None => self.raw.truncate(0),
        }
        body.is_some()
    }
}

fn too_large(request: &RequestHead, most: Option<u64>) -> bool {
    matches!((request.framing, most), (Framing::Length(length), Some(most)) if length > most)
}

/// Writes down what the client asked for.
fn describe(record: &mut AccessRecord, head: &[u8], request: &RequestHead, request_id: &[u8]) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    record.method = text(request.method.of(head));
    record.host = text(request.host.of(head));
    record.path = text(request.target.of(head));
    record.request_id = text(request_id);
    record.protocol = "http/1.1";
}

/// The client's id of a request, if it can be taken over.
fn client_request_id<'a>(head: &'a [u8], fields: &[Field]) -> Option<&'a [u8]> {
    let first = fields.iter().find(|field| field.kind == Kind::RequestId)?;
    Some(first.value.of(head)).filter(|id| super::headers::is_safe_id(id))
}

/// The names of trailers in all `Trailer` fields, separated by commas.
fn announced_trailers(head: &[u8], fields: &[Field]) -> Vec<u8> {
    let mut names = Vec::new();
    for field in fields.iter().filter(|field| field.kind == Kind::Trailer) {
        names.extend_from_slice(field.value.of(head));
        names.push(b',');
    }
    names
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    fn size_of_future<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_is_small() {
        let size = size_of_future(serve::<TcpStream>);
        assert!(size < 800, "{size}");
    }
}
