//! One request on the engine, from its head to the end of its answer.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use flynn_core::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::super::Failure;
use super::super::balance::{Moment, choose};
use super::super::handler::MOST_TRIES;
use super::super::journal::Journal;
use super::super::page::{Page, Sheet};
use super::answer::Asked;
use super::buffer::Outbox;
use super::client::Client;
use super::download::{Download, HeadRead};
use super::lane::Lane;
use super::upload::{Stop, Upload};
use crate::table::{Backend, Engaged, FoundRoute, Passage};

/// Tells a client that its body is wanted.
const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What follows an exchange on the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Since this moment, the next request is awaited.
    Next(Instant),
    /// The end, once the client has read everything.
    Close,
    /// The reference path goes on with it. Nothing was done yet.
    Leave,
    /// The end at once: nobody may think that the answer is whole.
    Cut,
}

/// A request that has a route.
pub(super) struct Order {
    pub(super) route: Arc<FoundRoute>,
    pub(super) passage: Passage,
    pub(super) upload: Upload,
    pub(super) journal: Journal,
    pub(super) facts: Facts,
}

/// What has to be known of a request once its head is gone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    pub(super) is_head: bool,
    pub(super) wants_html: bool,
    pub(super) wants_trailers: bool,
    pub(super) closes: bool,
    pub(super) expects: bool,
    pub(super) received: Timestamp,
}

impl Facts {
    pub(super) fn page(&self) -> Page {
        Page { html: self.wants_html, bodiless: self.is_head }
    }
}

/// Why an instance gave no answer.
enum Trouble {
    /// It cannot have received anything of the request.
    Unsent(io::Error),
    Failed(Failure),
}

/// An instance that answers.
struct Answering {
    stream: TcpStream,
    lane: Arc<Lane>,
    backend: Arc<Backend>,
    engaged: Engaged,
    keeps: bool,
}

/// A request between a client and an instance.
struct Exchange<'a, S> {
    client: &'a mut Client<S>,
    upload: Upload,
    download: Download,
    facts: Facts,
    route: Arc<FoundRoute>,
    /// What is left to send of the word that the client may go on.
    go_on: &'static [u8],
    closes: bool,
}

/// Passes a request on, and its answer back.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, order: Order) -> After {
    let Order { route, passage, upload, mut journal, facts } = order;
    let download = Download::new(&client.worker);
    let go_on = if facts.expects && upload.awaits_body() { GO_ON } else { b"" };
    let closes = facts.closes;
    let mut exchange = Exchange { client, upload, download, facts, route, go_on, closes };
    let answering = match exchange.find_answer(passage, &mut journal).await {
        Ok(answering) => answering,
        Err(failure) => {
            exchange.put_away();
            if exchange.is_in_a_word() {
                journal.end(Some(failure));
                return After::Cut;
            }
            let Exchange { client, upload, .. } = exchange;
            let is_open = !facts.closes && upload.is_done();
            return refuse(client, facts.page().sheet(failure, None, None), is_open, facts.received, journal).await;
        }
    };
    let Answering { mut stream, lane, backend, engaged, keeps } = answering;
    if exchange.is_in_a_word() {
        journal.end(Some(Failure::Stalled));
        return After::Cut;
    }
    let relayed = poll_fn(|cx| exchange.poll_relay(&mut stream, cx)).await;
    exchange.put_away();
    let Exchange { client, upload, download, closes, .. } = exchange;
    journal.record.bytes = download.bytes;
    let now = Instant::now();
    journal.end_at(now, relayed.err());
    drop(engaged);
    if relayed.is_err() {
        return After::Cut;
    }
    if keeps && upload.is_done() && download.ended_cleanly() && !backend.is_retired() {
        lane.put(stream, now, client.worker.shared.settings.pool_size);
        // A retirement that came in between did not see what was just put there.
        if backend.is_retired() {
            backend.lanes.clear();
        }
    }
    if closes || !upload.is_done() { After::Close } else { After::Next(now) }
}

/// Answers in place of an instance.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut Client<S>,
    sheet: Sheet,
    is_open: bool,
    received: Timestamp,
    mut journal: Journal,
) -> After {
    let stays = is_open && !sheet.closes && !client.worker.town.is_stopping();
    journal.record.status = sheet.status;
    journal.record.failure = sheet.failure;
    if sheet.failure == Some(Failure::ClientClosed) {
        journal.end(None);
        return After::Cut;
    }
    let mut front = client.worker.buffers.text();
    let content = sheet.write(&mut front, !stays, &client.worker.date(received));
    let mut out = Outbox::of(front);
    let end = Instant::now() + client.worker.shared.settings.idle;
    let sent = poll_fn(|cx| {
        let mut written = 0;
        match out.poll_send(&mut client.stream, &mut written, cx) {
            Poll::Ready(sent) => Poll::Ready(sent),
            Poll::Pending => client.poll_late(end, cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    });
    let flushed = match sent.await {
        Ok(()) => poll_fn(|cx| Pin::new(&mut client.stream).poll_flush(cx)).await,
        Err(error) => Err(error),
    };
    out.put_away(&client.worker.buffers);
    let now = Instant::now();
    match flushed {
        Ok(()) => {
            journal.record.bytes = content as u64;
            journal.end_at(now, None);
            if stays { After::Next(now) } else { After::Close }
        }
        Err(_) => {
            journal.end_at(now, Some(Failure::ClientClosed));
            After::Cut
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<'_, S> {
    /// Sends the request to one instance after another until one of them answers.
    async fn find_answer(&mut self, passage: Passage, journal: &mut Journal) -> Result<Answering, Failure> {
        let shared = self.client.worker.shared.clone();
        let settings = &shared.settings;
        let mut passage = Some(passage);
        let mut tried: Vec<Arc<Backend>> = Vec::new();
        let mut now = journal.began();
        self.route.target().retries.earn();
        while tried.len() < MOST_TRIES {
            let state = self.route.target().state();
            let moment = Moment { now, slow_start: settings.slow_start };
            let Some(backend) = choose(&state.backends, &tried, moment, shared.dice.roll()).cloned() else { break };
            drop(state);
            if !tried.is_empty() {
                if !self.route.target().retries.spend() {
                    break;
                }
                shared.meters.retried();
            }
            journal.record.job = Some(backend.job());
            let engaged = backend.engage();
            let lane = backend.lanes.of(&self.client.worker.owner);
            let pooled = lane.take(now, settings.pool_time);
            let is_pooled = pooled.is_some();
            let connected = match pooled {
                Some(stream) => Ok(stream),
                None => {
                    let connected = Box::pin(self.connect(backend.address(), settings.connect_time)).await?;
                    let before = std::mem::replace(&mut now, Instant::now());
                    journal.record.connect += now.saturating_duration_since(before);
                    connected
                }
            };
            let outcome = match connected {
                Ok(mut stream) => {
                    let answer = poll_fn(|cx| self.poll_answer(&mut stream, &mut passage, now, cx)).await;
                    answer.map(|answer| (stream, answer))
                }
                Err(error) => Err(Trouble::Unsent(error)),
            };
            match outcome {
                Ok((stream, (status, keeps))) => {
                    backend.conduct.succeeded();
                    self.upload.set_answered();
                    journal.record.status = status;
                    return Ok(Answering { stream, lane, backend, engaged, keeps });
                }
                Err(Trouble::Unsent(error)) => {
                    // A pooled connection that was closed says nothing of the instance itself.
                    if !is_pooled {
                        tracing::debug!(job = %backend.job(), error = &error as &dyn std::error::Error, "proxy: connect failed");
                        shared.strike(&backend);
                        tried.push(backend);
                    }
                }
                Err(Trouble::Failed(failure)) => {
                    if matches!(failure, Failure::NoAnswer | Failure::BackendClosed | Failure::BadAnswer) {
                        shared.strike(&backend);
                    }
                    return Err(failure);
                }
            }
        }
        Err(if tried.is_empty() { Failure::NoInstance } else { Failure::ConnectFailed })
    }

    /// Connects to an instance, as long as the client waits for it.
    async fn connect(&mut self, address: SocketAddr, limit: Duration) -> Result<io::Result<TcpStream>, Failure> {
        let mut connecting = pin!(timeout(limit, TcpStream::connect(address)));
        let connected = poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Ready(Ok(connected)) => Poll::Ready(Ok(connected)),
            Poll::Ready(Err(_)) => Poll::Ready(Ok(Err(io::ErrorKind::TimedOut.into()))),
            // While the client still has a body to send, the next bytes are not looked at.
            Poll::Pending if self.upload.awaits_more() => Poll::Pending,
            Poll::Pending => self.client.poll_gone(cx).map(|()| Err(Failure::ClientClosed)),
        })
        .await?;
        Ok(connected.and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        }))
    }

    /// Sends the request and reads the head of the answer: its status, and whether the connection is kept.
    fn poll_answer(
        &mut self,
        instance: &mut TcpStream,
        passage: &mut Option<Passage>,
        began: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(u16, bool), Trouble>> {
        if let Poll::Ready(Err(failure)) = self.poll_upload(instance, cx) {
            return Poll::Ready(Err(failure));
        }
        if self.upload.has_begun() {
            // From here on the request is this instance's.
            drop(passage.take());
        }
        if let Err(failure) = self.go_on(cx) {
            return Poll::Ready(Err(Trouble::Failed(failure)));
        }
        let worker = &self.client.worker;
        let received = self.facts.received;
        self.closes = self.facts.closes || worker.town.is_stopping();
        let asked = Asked {
            is_head: self.facts.is_head,
            wants_trailers: self.facts.wants_trailers,
            closes: self.closes,
            rules: &self.route.rules().response,
            date: &|| worker.date(received),
        };
        if let Poll::Ready(read) = self.download.poll_head(worker, instance, &asked, cx) {
            return Poll::Ready(match read {
                HeadRead::Whole { status, keeps } => Ok((status, keeps)),
                HeadRead::Malformed => Err(Trouble::Failed(Failure::BadAnswer)),
                HeadRead::Closed(error) if !self.upload.has_begun() => Err(Trouble::Unsent(error)),
                HeadRead::Closed(_) => Err(Trouble::Failed(Failure::BackendClosed)),
            });
        }
        if self.upload.is_done() && self.client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Trouble::Failed(Failure::ClientClosed)));
        }
        let settings = &self.client.worker.shared.settings;
        let (end, failure) = match self.upload.client_deadline() {
            Some(end) => (end, Failure::ClientTooSlow),
            None if self.upload.is_done() => (self.upload.last(began) + settings.first_byte, Failure::NoAnswer),
            None => (self.upload.last(began) + settings.idle.max(settings.body_idle), Failure::NoAnswer),
        };
        self.client.poll_late(end, cx).map(|()| Err(Trouble::Failed(failure)))
    }

    /// Sends what there is of the request. An instance that takes no more may still answer.
    fn poll_upload(&mut self, instance: &mut TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        if self.upload.is_done() || self.upload.is_abandoned() {
            return Poll::Pending;
        }
        match ready!(self.upload.poll(self.client, instance, cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Stop::Client(failure)) => Poll::Ready(Err(Trouble::Failed(failure))),
            Err(Stop::Instance(error)) if !self.upload.has_begun() => Poll::Ready(Err(Trouble::Unsent(error))),
            Err(Stop::Instance(_)) => {
                self.upload.abandon();
                Poll::Pending
            }
        }
    }

    /// Tells the client that its body is wanted, once an instance listens.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        // Whoever sends its body already does not wait, unless it was told half of the word.
        if !self.upload.awaits_body() && self.go_on.len() == GO_ON.len() {
            self.go_on = b"";
        }
        while !self.go_on.is_empty() && self.upload.has_begun() {
            match Pin::new(&mut self.client.stream).poll_write(cx, self.go_on) {
                Poll::Ready(Ok(count @ 1..)) => self.go_on = self.go_on.get(count..).unwrap_or_default(),
                Poll::Ready(_) => return Err(Failure::ClientClosed),
                Poll::Pending => return Ok(()),
            }
            if self.go_on.is_empty() {
                // A stream that holds bytes back is flushed again with the answer.
                let _ = Pin::new(&mut self.client.stream).poll_flush(cx);
            }
        }
        Ok(())
    }

    /// Whether the client has read half of the word that it may go on, and left no room for the rest.
    fn is_in_a_word(&self) -> bool {
        (1..GO_ON.len()).contains(&self.go_on.len())
    }

    /// Brings the answer to the client while the request may go on.
    fn poll_relay(&mut self, instance: &mut TcpStream, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Poll::Ready(Err(trouble)) = self.poll_upload(instance, cx) {
            return Poll::Ready(Err(match trouble {
                Trouble::Failed(failure) => failure,
                Trouble::Unsent(_) => Failure::BrokenOff,
            }));
        }
        if let Poll::Ready(relayed) = self.download.poll_relay(self.client, instance, cx) {
            return Poll::Ready(relayed);
        }
        if self.upload.is_done() && self.download.is_flowing() && self.client.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Failure::ClientClosed));
        }
        let idle = self.client.worker.shared.settings.idle;
        let stalled = self.download.deadline(idle).map(|end| (end, Failure::Stalled));
        let slow = self.upload.client_deadline().map(|end| (end, Failure::ClientTooSlow));
        let first = stalled.into_iter().chain(slow).min_by_key(|(end, _)| *end);
        match first {
            Some((end, failure)) => self.client.poll_late(end, cx).map(|()| Err(failure)),
            None => Poll::Pending,
        }
    }

    fn put_away(&mut self) {
        self.upload.out.put_away(&self.client.worker.buffers);
        self.download.put_away(&self.client.worker);
        self.client.tidy();
    }
}
