//! Bodies on their way through: never held, only watched.

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Failure;
use super::journal::Journal;
use super::upstream::Lease;

type BoxError = Box<dyn Error + Send + Sync>;

/// A sleep that begins anew with every sign of life.
pub(crate) struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    from: Instant,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, timer: None, from: Instant::now() }
    }

    pub(crate) fn renew(&mut self) {
        self.from = Instant::now();
    }

    /// Ready when nothing was renewed for as long as the limit.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = self.from + self.limit;
        poll_until(&mut self.timer, end, cx)
    }
}

/// Ready at `end`, which may differ from call to call: the timer is only touched when it must be.
pub(crate) fn poll_until(timer: &mut Option<Pin<Box<Sleep>>>, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
    if end < timer.deadline() {
        timer.as_mut().reset(end);
    }
    while timer.as_mut().poll(cx).is_ready() {
        if end <= Instant::now() {
            return Poll::Ready(());
        }
        timer.as_mut().reset(end);
    }
    Poll::Pending
}

/// How far the client has come with a request's body.
#[derive(Default)]
pub(crate) struct Upload {
    done: AtomicBool,
    /// Whether the answer has begun.
    answered: AtomicBool,
    ended: Notify,
    progress: Mutex<Progress>,
}

#[derive(Default, Clone, Copy)]
struct Progress {
    last: Option<Instant>,
    /// Whether the next byte is the client's to send.
    waiting: bool,
    failure: Option<Failure>,
}

impl Upload {
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// The answer has begun: from here on the two may take turns, and how fast the body comes is theirs.
    pub(crate) fn set_answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Waits for the end of the body.
    pub(crate) async fn ended(&self) {
        let ended = self.ended.notified();
        if !self.is_done() {
            ended.await;
        }
    }

    /// When the body last moved.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.progress().last
    }

    /// Why the body broke off on the client's side, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.progress().failure
    }

    /// Who is to blame if nothing moves.
    pub(crate) fn stalled(&self) -> Failure {
        let progress = *self.progress();
        let is_waiting = progress.waiting && !self.is_done();
        progress.failure.unwrap_or(if is_waiting { Failure::ClientTooSlow } else { Failure::NoAnswer })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.done.store(true, Ordering::Release);
        self.ended.notify_waiters();
    }

    fn moved(&self) {
        let mut progress = self.progress();
        (progress.last, progress.waiting) = (Some(Instant::now()), false);
    }

    fn waits(&self) {
        self.progress().waiting = true;
    }

    fn failed(&self, failure: Failure) {
        self.progress().failure = Some(failure);
    }
}

/// What the body of a request may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// The longest pause, and how long all pauses together may be beyond those that `rate` allows.
    pub(crate) idle: Duration,
    /// Bytes a second; zero for no limit.
    pub(crate) rate: u32,
    /// Bytes in all.
    pub(crate) most: Option<u64>,
}

impl BodyLimits {
    /// How long the next pause may be, after pauses of `waited` in all for `received` bytes.
    pub(crate) fn pause(&self, received: u64, waited: Duration) -> Duration {
        match self.rate {
            0 => self.idle,
            rate => {
                let earned = Duration::from_secs(received / u64::from(rate));
                self.idle.min(self.idle.saturating_add(earned).saturating_sub(waited))
            }
        }
    }
}

/// The body of a request.
pub(crate) struct RequestBody {
    inner: Incoming,
    upload: Arc<Upload>,
    limits: BodyLimits,
    timer: Option<Pin<Box<Sleep>>>,
    received: u64,
    /// How long the router has waited for the client in all, and since when it does again.
    waited: Duration,
    waiting: Option<Instant>,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, limits: BodyLimits) -> (Self, Arc<Upload>) {
        let upload = Arc::new(Upload::default());
        upload.done.store(inner.is_end_stream(), Ordering::Release);
        let (received, waited) = (0, Duration::ZERO);
        let body = Self { inner, upload: upload.clone(), limits, timer: None, received, waited, waiting: None };
        (body, upload)
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let pause = match self.upload.answered.load(Ordering::Acquire) {
            true => self.limits.idle,
            false => self.limits.pause(self.received, self.waited),
        };
        poll_until(&mut self.timer, since + pause, cx)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                this.waited += this.waiting.take().map(|since| since.elapsed()).unwrap_or_default();
                this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.limits.most.is_some_and(|most| this.received > most) {
                    this.upload.failed(Failure::BodyTooLarge);
                    return Poll::Ready(Some(Err("the body of the request is too large".into())));
                }
                this.upload.moved();
                if let Some(trailers) = frame.trailers_mut() {
                    clean_trailers(trailers);
                }
                if this.inner.is_end_stream() {
                    this.upload.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.upload.failed(Failure::ClientClosed);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.upload.moved();
                this.upload.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                this.upload.waits();
                this.poll_late(cx).map(|()| {
                    this.upload.failed(Failure::ClientTooSlow);
                    Some(Err("the client stalled in the middle of its request".into()))
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer: an instance's, or a page of the router's own.
pub(crate) struct ResponseBody {
    source: Source,
    journal: Option<Journal>,
    /// Whether the end was reached. The end of a body of known length is known before it is asked for.
    ended: bool,
}

enum Source {
    Instance { body: Incoming, lease: Option<Lease>, patience: Patience },
    Page(Option<Bytes>),
}

impl ResponseBody {
    pub(crate) fn of_instance(body: Incoming, lease: Lease, idle: Duration, journal: Journal) -> Self {
        let source = Source::Instance { body, lease: Some(lease), patience: Patience::new(idle) };
        Self { source, journal: Some(journal), ended: false }
    }

    /// A page; `visible` is false in an answer that has no body.
    pub(crate) fn of_page(page: Bytes, visible: bool, journal: Journal) -> Self {
        Self { source: Source::Page(Some(page).filter(|_| visible)), journal: Some(journal), ended: false }
    }

    /// Writes down a failure that the body itself cannot see.
    #[cfg(feature = "tls")]
    pub(crate) fn fail(&mut self, failure: Failure) {
        if let Some(journal) = &mut self.journal {
            journal.end(Some(failure));
        }
    }

    /// No body, and nothing to be written down.
    pub(crate) fn empty() -> Self {
        Self { source: Source::Page(None), journal: None, ended: false }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { source, journal, ended } = self.get_mut();
        let (body, lease, patience) = match source {
            Source::Page(page) => {
                let page = page.take();
                count(journal, page.as_ref());
                return Poll::Ready(page.map(|page| Ok(Frame::data(page))));
            }
            Source::Instance { body, lease, patience } => (body, lease, patience),
        };
        let failure = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                patience.renew();
                count(journal, frame.data_ref());
                if let Some(trailers) = frame.trailers_mut() {
                    clean_trailers(trailers);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) => {
                *ended = true;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(_))) => Failure::BrokenOff,
            Poll::Pending => match patience.poll_end(cx) {
                Poll::Ready(()) => Failure::Stalled,
                Poll::Pending => return Poll::Pending,
            },
        };
        *lease = None;
        if let Some(journal) = journal {
            journal.end(Some(failure));
        }
        Poll::Ready(Some(Err(failure.to_string().into())))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Instance { body, .. } => body.is_end_stream(),
            Source::Page(page) => page.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Instance { body, .. } => body.size_hint(),
            Source::Page(page) => SizeHint::with_exact(page.as_ref().map_or(0, |page| page.len() as u64)),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.ended || self.is_end_stream() {
            if let Source::Instance { lease, .. } = &mut self.source
                && let Some(lease) = lease.take()
            {
                lease.give_back();
            }
            if let Some(journal) = &mut self.journal {
                journal.end(None);
            }
        }
    }
}

fn count(journal: &mut Option<Journal>, data: Option<&Bytes>) {
    if let (Some(journal), Some(data)) = (journal, data) {
        journal.record.bytes += data.len() as u64;
    }
}

/// Removes from trailers what only a head may say.
fn clean_trailers(trailers: &mut HeaderMap) {
    for name in [
        http::header::CONTENT_LENGTH,
        http::header::TRANSFER_ENCODING,
        http::header::HOST,
        http::header::CONNECTION,
        http::header::TRAILER,
    ] {
        trailers.remove(name);
    }
}
