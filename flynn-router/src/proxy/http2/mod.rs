//! HTTP/2 to clients. Each stream becomes a request as HTTP/1.1 has it, within bounds.
//!
//! What bounds a client that means harm: the streams at a time; the size and number of its fields, `CONTINUATION`
//! frames included; the streams that it may reset before they are served (after 20 the connection ends); the bytes kept
//! for a stream that it does not read, and for how long; the time without any stream; and whether it answers a ping.
//! Frames that ask for an answer, `PING` and `SETTINGS`, are read no faster than their answers are taken.

mod pace;
mod request;
mod streams;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::ProxySettings;
use super::gate::HURRIED;
use super::handler::{Ends, Shared};
use super::link::Link;
use super::town::Word;
use pace::{Pace, PacedBody, PacedWrites};
use streams::{Begun, Inbox};

/// Streams that a client may reset before they are served, until its connection ends.
const RESETS: usize = 20;
/// Streams that may be reset because the client broke a rule.
const FAULTS: usize = 100;
/// The bytes of a stream that a client need not ask for, and of a whole connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// The bytes of an answer that are kept for a client that does not take them.
const UNSENT: usize = 64 << 10;

/// How long a connection without streams is kept.
struct Quiet {
    /// Since when there is no stream.
    since: Option<Instant>,
    patience: Duration,
    /// When it is cut off, once it was told to end.
    cut: Option<Instant>,
}

enum Turn {
    Ended(hyper::Result<()>),
    /// A stream began, or the last one ended.
    Changed,
}

pub(super) async fn serve<S>(
    shared: Arc<Shared>,
    stream: S,
    ends: Ends,
    mut word: watch::Receiver<Word>,
    mark: impl Fn(&mut Request<Incoming>) + Clone + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let ProxySettings { idle, keep_alive, head_time, head_fields, .. } = shared.settings;
    let inbox = Arc::new(Inbox::new(idle));
    let builder = builder(&shared.settings, Begun::of(&inbox));
    let expected = inbox.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let link = Arc::new(Link::default());
        let pace = Arc::new(Pace::new(link.clone()));
        expected.expect(pace.clone());
        let (shared, mark) = (shared.clone(), mark.clone());
        async move {
            let mut request = request;
            if let Err(failure) = request::as_of_http1(&mut request, head_fields) {
                link.head_passed();
                link.refuse(failure);
            }
            mark(&mut request);
            let answer = shared.answer(link, ends, request).await;
            Ok::<_, Infallible>(answer.map(|body| PacedBody::new(body, pace)))
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(PacedWrites::new(stream, idle)), service));
    let mut running = FuturesUnordered::new();
    let mut quiet = Quiet { since: Some(Instant::now()), patience: head_time, cut: None };
    let mut listening = true;
    loop {
        let was_empty = running.is_empty();
        let turn = poll_fn(|cx| {
            if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                return Poll::Ready(Turn::Ended(served));
            }
            let begun = inbox.take();
            let is_news = !begun.is_empty();
            running.extend(begun);
            while let Poll::Ready(Some(())) = running.poll_next_unpin(cx) {}
            if is_news || running.is_empty() != was_empty { Poll::Ready(Turn::Changed) } else { Poll::Pending }
        });
        let end = quiet.end();
        tokio::select! {
            turn = turn => match turn {
                Turn::Ended(Ok(())) => return,
                Turn::Ended(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, client = %ends.client, "proxy: a connection broke off");
                    return;
                }
                Turn::Changed if running.is_empty() => (quiet.since, quiet.patience) = (Some(Instant::now()), keep_alive),
                Turn::Changed => quiet.since = None,
            },
            changed = word.changed(), if listening => match changed.map(|()| *word.borrow_and_update()) {
                Ok(Word::Serve) => {}
                Ok(Word::MakeRoom) => quiet.patience = quiet.patience.min(HURRIED),
                Ok(Word::Stop) | Err(_) => {
                    connection.as_mut().graceful_shutdown();
                    listening = false;
                }
            },
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                if quiet.cut.is_some() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                // What was answered may still be on its way, unless others need the place.
                let grace = if quiet.patience <= HURRIED { HURRIED } else { idle };
                quiet.cut = Some(Instant::now() + grace);
            }
        }
    }
}

impl Quiet {
    fn end(&self) -> Option<Instant> {
        let since = self.since?;
        Some(self.cut.map_or(since + self.patience, |cut| cut.max(since + HURRIED)))
    }
}

fn builder(settings: &ProxySettings, begun: Begun) -> Builder<Begun> {
    let mut builder = Builder::new(begun);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.http2_streams)
        .max_header_list_size(u32::try_from(settings.head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(FAULTS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(UNSENT)
        .keep_alive_interval(settings.http2_ping)
        .keep_alive_timeout(settings.http2_ping / 2);
    builder
}
