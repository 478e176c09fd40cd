//! After an upgrade: bytes both ways, whatever they mean.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::{Instant, sleep_until};

use super::Failure;
use super::body::ResponseBody;
use super::journal::Journal;
use super::upstream::Lease;

/// Answers with `answer` and leaves the rest of the connection to a tunnel, which counts as a request until
/// both sides have ended or nothing has moved for the length of `idle`.
pub(crate) fn tunnel(
    answer: Response<()>,
    downstream: OnUpgrade,
    upstream: OnUpgrade,
    lease: Lease,
    idle: Duration,
    mut journal: Journal,
) -> Response<ResponseBody> {
    let serving = journal.detach();
    let tunnel = async move {
        // The lease keeps the instance engaged; its connection is the tunnel's.
        let mut lease = lease;
        lease.engaged.become_tunnel();
        let activity = Arc::new(Activity::default());
        let carried = async {
            let (downstream, upstream) = tokio::try_join!(downstream, upstream).map_err(io::Error::other)?;
            let mut client = Watched { inner: TokioIo::new(downstream), activity: activity.clone(), counts: true };
            let mut instance = Watched { inner: TokioIo::new(upstream), activity: activity.clone(), counts: false };
            copy_bidirectional(&mut client, &mut instance).await
        };
        let failure = tokio::select! {
            done = carried => done.err().map(|_| Failure::BrokenOff),
            () = activity.stalled(idle) => Some(Failure::Stalled),
        };
        journal.record.bytes = activity.to_client.load(Ordering::Relaxed);
        journal.end(failure);
    };
    if let Some(serving) = serving {
        serving.give_way(Box::pin(tunnel));
    }
    answer.map(|()| ResponseBody::empty())
}

/// What moves in a tunnel.
struct Activity {
    last: Mutex<Instant>,
    to_client: AtomicU64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { last: Mutex::new(Instant::now()), to_client: AtomicU64::new(0) }
    }
}

impl Activity {
    async fn stalled(&self, idle: Duration) {
        loop {
            let end = *self.last.lock().unwrap_or_else(PoisonError::into_inner) + idle;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

struct Watched {
    inner: TokioIo<Upgraded>,
    activity: Arc<Activity>,
    /// Whether what is written goes to the client.
    counts: bool,
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            *this.activity.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if this.counts {
                this.activity.to_client.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
