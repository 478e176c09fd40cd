//! The streams of a connection run inside the task of the connection, which owns them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hyper::rt::Executor;

use super::pace::Pace;

pub(super) type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where streams that have begun wait to be run.
pub(super) struct Inbox {
    state: Mutex<State>,
    /// How long a client may leave an answer unread.
    idle: Duration,
}

#[derive(Default)]
struct State {
    begun: Vec<Stream>,
    /// The pace of the stream that begins next.
    next: Option<Arc<Pace>>,
}

impl Inbox {
    pub(super) fn new(idle: Duration) -> Self {
        Self { state: Mutex::default(), idle }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whose stream begins next: the HTTP implementation asks for an answer, then hands over what sends it.
    pub(super) fn expect(&self, pace: Arc<Pace>) {
        self.state().next = Some(pace);
    }

    /// What has begun since the last time.
    pub(super) fn take(&self) -> Vec<Stream> {
        std::mem::take(&mut self.state().begun)
    }
}

/// The HTTP implementation's way into an [`Inbox`]. Streams hold one, so that it may not keep the inbox.
#[derive(Clone)]
pub(super) struct Begun(Weak<Inbox>);

impl Begun {
    pub(super) fn of(inbox: &Arc<Inbox>) -> Self {
        Self(Arc::downgrade(inbox))
    }
}

impl<F> Executor<F> for Begun
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Some(inbox) = self.0.upgrade() else { return };
        let mut state = inbox.state();
        let (pace, idle) = (state.next.take(), inbox.idle);
        state.begun.push(Box::pin(async move {
            match pace {
                // Dropped, the stream is reset.
                Some(pace) => tokio::select! {
                    biased;
                    () = stream => {}
                    () = pace.stalled(idle) => {}
                },
                None => stream.await,
            }
        }));
    }
}
