//! One request, from its head to the head of its answer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use flynn_core::Clock;
use flynn_core::noun::Traffic;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::balance::{Dice, Moment, choose};
use super::body::{BodyLimits, RequestBody, ResponseBody, Upload};
use super::conduct::EjectionRules;
use super::counts::Meters;
use super::headers::{self, Origin};
use super::journal::Journal;
use super::link::Link;
use super::page::{Failed, Page, redirect};
use super::security::{is_misdirected, is_secured};
use super::town::Town;
use super::tunnel::tunnel;
use super::upstream::{Drivers, Lease};
use super::{Failure, ProxySettings};
use crate::access::{AccessLog, AccessRecord};
use crate::rules::{Bucket, FieldRules};
use crate::table::{Backend, FoundRoute, Host, Passage, RouteTable, Target};

/// The most instances that are tried for one request.
pub(crate) const MOST_TRIES: usize = 5;

/// Whether this process, or the machine, has as many files open as it may, which says nothing of an instance.
fn is_short_of_files(error: &std::io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) table: Arc<dyn RouteTable>,
    pub(crate) log: Arc<dyn AccessLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: ProxySettings,
    pub(crate) dice: Dice,
    pub(crate) drivers: Drivers,
    pub(crate) meters: Meters,
    /// One for each client that there may be.
    pub(crate) places: Arc<Semaphore>,
    /// Those of all listeners.
    pub(crate) towns: Mutex<Vec<Weak<Town>>>,
}

/// What a route does with a request.
pub(crate) enum Admission {
    /// It goes to an instance.
    Pass,
    /// The client is sent to the same address on `https`, at this port.
    Redirect {
        port: u16,
    },
    Refuse {
        failure: Failure,
        page: Option<Arc<str>>,
        retry_after: Option<Duration>,
    },
}

/// The two ends of a client's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl Shared {
    /// Answers a request. Dropped when the client goes away.
    pub(crate) async fn answer(
        self: Arc<Self>,
        link: Arc<Link>,
        ends: Ends,
        request: Request<Incoming>,
    ) -> Response<ResponseBody> {
        let (serving, refused) = link.take();
        let (mut head, body) = request.into_parts();
        // What was read in place of a refused request is nobody's.
        let record = if refused.is_some() { self.blank_record(ends) } else { self.record(&head, ends) };
        let journal = Journal::begin(self.clone(), record, Some(serving));
        let page = Page { html: headers::wants_html(&head.headers), bodiless: head.method == Method::HEAD };
        let answer = match refused {
            Some(failure) => Err(Failed::new(failure, journal)),
            None => self.pass_on(&mut head, body, ends, journal).await,
        };
        answer.unwrap_or_else(|failed| page.answer(failed))
    }

    fn record(&self, head: &Parts, ends: Ends) -> AccessRecord {
        let mut record = self.blank_record(ends);
        if let Some(host) = head.headers.get(header::HOST) {
            record.host = String::from_utf8_lossy(host.as_bytes()).into_owned();
        }
        if let Some(id) = headers::client_request_id(&head.headers) {
            record.request_id = id;
        }
        record.method = head.method.to_string();
        record.path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        record.protocol = match head.version {
            Version::HTTP_10 => "http/1.0",
            Version::HTTP_2 => "h2",
            _ => "http/1.1",
        };
        record
    }

    /// The record of a request of which nothing is known but where it came from.
    pub(crate) fn blank_record(&self, ends: Ends) -> AccessRecord {
        let request_id = format!("{:016x}{:016x}", self.dice.roll(), self.dice.roll());
        AccessRecord { request_id, ..self.empty_record(ends) }
    }

    /// A record without an id.
    pub(crate) fn empty_record(&self, ends: Ends) -> AccessRecord {
        AccessRecord {
            method: String::new(),
            host: String::new(),
            path: String::new(),
            request_id: String::new(),
            client: ends.client.ip(),
            app: None,
            job: None,
            connect: Duration::ZERO,
            service: Duration::ZERO,
            status: 0,
            bytes: 0,
            protocol: "http",
            failure: None,
        }
    }

    /// Writes down a request that the gate let through and the HTTP implementation refused.
    pub(crate) fn record_unreadable(&self, ends: Ends) {
        let mut record = self.blank_record(ends);
        record.status = 400;
        record.failure = Some(Failure::BadRequest("an unreadable head"));
        self.write_down(&record);
    }

    /// Counts a request that has ended, and reports it.
    pub(crate) fn write_down(&self, record: &AccessRecord) {
        self.meters.ended(record.failure.as_ref());
        self.log.record(record);
    }

    async fn pass_on(
        &self,
        head: &mut Parts,
        body: Incoming,
        ends: Ends,
        mut journal: Journal,
    ) -> Result<Response<ResponseBody>, Failed> {
        let authority = match requested_authority(head) {
            Ok(authority) => authority,
            Err(failure) => return Err(Failed::new(failure, journal)),
        };
        journal.record.host = String::from_utf8_lossy(authority.as_bytes()).into_owned();
        let Some(host) = authority.to_str().ok().and_then(Host::parse) else {
            return Err(Failed::new(Failure::BadRequest("a malformed host"), journal));
        };
        if is_misdirected(head, &host) {
            return Err(Failed::new(Failure::Misdirected, journal));
        }
        let secured = is_secured(head);
        let passage = self.table.enter();
        let Some(route) = self.table.lookup(&host, head.uri.path()) else {
            return Err(Failed::new(Failure::NoRoute, journal));
        };
        let (target, rules) = (route.target(), route.rules());
        match self.admit(&route, &mut journal, true, secured) {
            Admission::Pass => {}
            Admission::Redirect { port } => return Ok(redirect(&host, port, head, journal)),
            Admission::Refuse { failure, page, retry_after } => {
                return Err(Failed { failure, journal, page, retry_after });
            }
        }
        let most = self.settings.body_bytes;
        if most.is_some_and(|most| body.size_hint().lower() > most) {
            return Err(Failed::new(Failure::BodyTooLarge, journal));
        }
        let upgrade = headers::upgrade(&head.headers).filter(|_| head.version == Version::HTTP_11);
        let downstream = upgrade.as_ref().and_then(|_| head.extensions.remove::<OnUpgrade>());
        let origin = Origin {
            client: ends.client.ip(),
            local: ends.local,
            secured,
            authority: &authority,
            request_id: &journal.record.request_id,
            received: self.clock.now(),
        };
        headers::to_instance(&mut head.headers, upgrade.as_ref(), &origin);
        if rules.strip_prefix {
            headers::strip_prefix(head, route.prefix());
        }
        rules.request.apply(&mut head.headers);
        let ProxySettings { body_idle: idle, body_rate: rate, .. } = self.settings;
        let (body, upload) = RequestBody::new(body, BodyLimits { idle, rate, most });
        let request = instance_request(head, body);
        let (answer, lease) = match self.send(target, request, &upload, passage, &mut journal).await {
            Ok(sent) => sent,
            Err(failure) => return Err(Failed::new(failure, journal)),
        };
        self.relay(answer, lease, downstream, &rules.response, journal)
    }

    /// Decides what the rules of a route make of a request. The app is written down if anybody reads it.
    pub(crate) fn admit(&self, route: &FoundRoute, journal: &mut Journal, is_kept: bool, secured: bool) -> Admission {
        let (state, rules) = (route.target().state(), route.rules());
        if is_kept {
            journal.record.app = Some(state.name.clone());
        }
        if let Some(port) = self.settings.https_port.filter(|_| rules.redirect_https && !secured) {
            return Admission::Redirect { port };
        }
        if let Some(Err(wait)) = route.bucket().map(Bucket::take) {
            return Admission::Refuse { failure: Failure::RateLimited, page: None, retry_after: Some(wait) };
        }
        if rules.maintenance || state.traffic == Traffic::Maintenance {
            let page = rules.maintenance_page.clone();
            return Admission::Refuse { failure: Failure::Maintenance, page, retry_after: None };
        }
        Admission::Pass
    }

    /// Asks the clients of all listeners for a place.
    pub(crate) fn make_room(&self) {
        self.towns().iter().filter_map(Weak::upgrade).for_each(|town| town.make_room());
    }

    pub(crate) fn towns(&self) -> MutexGuard<'_, Vec<Weak<Town>>> {
        self.towns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to one instance after another until one of them has it.
    async fn send(
        &self,
        target: &Target,
        mut request: Request<RequestBody>,
        upload: &Arc<Upload>,
        passage: Passage,
        journal: &mut Journal,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut passage = Some(passage);
        let mut tried: Vec<Arc<Backend>> = Vec::new();
        target.retries.earn();
        while tried.len() < MOST_TRIES {
            let state = target.state();
            let began = Instant::now();
            let moment = Moment { now: began, slow_start: self.settings.slow_start };
            let Some(backend) = choose(&state.backends, &tried, moment, self.dice.roll()).cloned() else { break };
            if !tried.is_empty() {
                if !target.retries.spend() {
                    break;
                }
                self.meters.retried();
            }
            journal.record.job = Some(backend.job());
            let engaged = backend.engage();
            let pooled = backend.idle.take(self.settings.pool_time);
            let is_pooled = pooled.is_some();
            let connected = match pooled {
                Some(upstream) => Ok(upstream),
                None => self.drivers.connect(&backend, self.settings.connect_time).await,
            };
            if !is_pooled {
                journal.record.connect += began.elapsed();
            }
            let mut upstream = match connected {
                Ok(upstream) => upstream,
                Err(error) => {
                    tracing::debug!(job = %backend.job(), error = &error as &dyn std::error::Error, "proxy: connect failed");
                    if !is_short_of_files(&error) {
                        self.strike(&backend);
                    }
                    tried.push(backend);
                    continue;
                }
            };
            let before = upstream.wire.written();
            upstream.wire.arm(passage.take());
            let sending = upstream.sender.try_send_request(request);
            let outcome = match self.await_answer(sending, upload).await {
                Ok(outcome) => outcome,
                Err(failure) => {
                    if failure == Failure::NoAnswer {
                        self.strike(&backend);
                    }
                    return Err(failure);
                }
            };
            match outcome {
                Ok(answer) => {
                    drop(upstream.wire.disarm());
                    backend.conduct.succeeded();
                    upload.set_answered();
                    let keep = (self.settings.pool_size, self.settings.pool_time);
                    let lease = Lease { upstream, backend, upload: upload.clone(), keep, engaged };
                    return Ok((answer, lease));
                }
                Err(mut error) => {
                    passage = upstream.wire.disarm();
                    let unsent = error.take_message().filter(|_| upstream.wire.written() == before);
                    let Some(unsent) = unsent else {
                        let failure = blame(upload, &error.into_error());
                        if matches!(failure, Failure::BackendClosed | Failure::BadAnswer) {
                            self.strike(&backend);
                        }
                        return Err(failure);
                    };
                    request = unsent;
                    // A pooled connection that was closed says nothing of the instance itself.
                    if !is_pooled {
                        self.strike(&backend);
                        tried.push(backend);
                    }
                }
            }
        }
        Err(if tried.is_empty() { Failure::NoInstance } else { Failure::ConnectFailed })
    }

    /// Holds it against an instance that a request got no answer from it.
    pub(crate) fn strike(&self, backend: &Backend) {
        let rules = EjectionRules { after: self.settings.eject_after, first: self.settings.eject_time };
        if backend.conduct.failed(Instant::now(), rules) {
            self.meters.ejected();
            tracing::debug!(job = %backend.job(), "proxy: an instance keeps failing and is passed over");
        }
    }

    /// Waits for the head of an answer as long as the client sends, and from its end for the first byte.
    async fn await_answer<T>(&self, sending: impl Future<Output = T>, upload: &Upload) -> Result<T, Failure> {
        let began = Instant::now();
        let sending_limit = self.settings.idle.max(self.settings.body_idle);
        tokio::pin!(sending);
        loop {
            let limit = if upload.is_done() { self.settings.first_byte } else { sending_limit };
            let end = upload.last().unwrap_or(began).max(began) + limit;
            tokio::select! {
                biased;
                outcome = &mut sending => return Ok(outcome),
                () = upload.ended(), if !upload.is_done() => {}
                () = sleep_until(end) => {
                    let is_same = end == upload.last().unwrap_or(began).max(began) + limit;
                    if is_same {
                        return Err(upload.stalled());
                    }
                }
            }
        }
    }

    fn relay(
        &self,
        mut answer: Response<Incoming>,
        lease: Lease,
        downstream: Option<OnUpgrade>,
        rules: &FieldRules,
        mut journal: Journal,
    ) -> Result<Response<ResponseBody>, Failed> {
        let status = answer.status();
        journal.record.status = status.as_u16();
        let is_upgrade = status == StatusCode::SWITCHING_PROTOCOLS;
        let protocol = headers::upgrade(answer.headers()).filter(|_| is_upgrade);
        match (protocol, downstream) {
            (Some(protocol), Some(downstream)) => {
                let upstream = hyper::upgrade::on(&mut answer);
                let (head, _) = answer.into_parts();
                let mut answer = Response::new(());
                (*answer.status_mut(), *answer.headers_mut()) = (head.status, head.headers);
                headers::to_client(answer.headers_mut(), Some(&protocol));
                Ok(tunnel(answer, downstream, upstream, lease, self.settings.idle, journal))
            }
            _ if is_upgrade => Err(Failed::new(Failure::BadAnswer, journal)),
            (_, _) => {
                let (mut head, body) = answer.into_parts();
                head.version = Version::HTTP_11;
                headers::to_client(&mut head.headers, None);
                rules.apply(&mut head.headers);
                let body = ResponseBody::of_instance(body, lease, self.settings.idle, journal);
                Ok(Response::from_parts(head, body))
            }
        }
    }
}

/// The authority that the request is for, once it is known that it may be passed on at all.
fn requested_authority(head: &Parts) -> Result<HeaderValue, Failure> {
    if head.method == Method::CONNECT {
        return Err(Failure::MethodRefused);
    }
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !head.headers.get_all(header::EXPECT).iter().all(is_known) {
        return Err(Failure::ExpectationFailed);
    }
    let scheme = if is_secured(head) { "https" } else { "http" };
    match (head.uri.scheme_str(), head.uri.authority()) {
        // The target of the request overrides its Host field (RFC 9112 §3.2.2).
        (Some(asked), Some(authority)) if asked == scheme => {
            HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadRequest("a malformed request target"))
        }
        (None, None) => head.headers.get(header::HOST).cloned().ok_or(Failure::NoRoute),
        _ => Err(Failure::BadRequest("a request target with another scheme than the connection's")),
    }
}

/// The request as an instance gets it: in origin form and in HTTP/1.1.
fn instance_request(head: &mut Parts, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    let path = head.uri.path_and_query().cloned();
    *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = std::mem::take(&mut head.headers);
    request
}

/// Whose fault it is that a request got no answer.
fn blame(upload: &Upload, error: &hyper::Error) -> Failure {
    match upload.failure() {
        Some(failure) => failure,
        None if error.is_parse() => Failure::BadAnswer,
        None => Failure::BackendClosed,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_lack_of_files_is_told_from_a_fault_of_an_instance() {
        assert!([23, 24].into_iter().all(|code| is_short_of_files(&io::Error::from_raw_os_error(code))));
        assert!(!is_short_of_files(&io::ErrorKind::ConnectionRefused.into()));
        assert!(!is_short_of_files(&io::Error::from_raw_os_error(111)));
    }
}
