use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use flynn_core::port::Wakes;
use futures::StreamExt;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

/// Wakes so often without a reason, should a hint ever be lost.
const SLOW: Duration = Duration::from_secs(10);

/// Wakes for what happens to the locks of the shims: a shim writes to its lock when its job has ended, and
/// the kernel closes it when the shim dies.
pub(crate) fn wakes(locks: &Path) -> Wakes {
    let watch = watch(locks).inspect_err(|error| {
        tracing::warn!(%error, "ends of jobs are noticed only every {} seconds", SLOW.as_secs());
    });
    let state = State { watch: watch.ok(), driven: None };
    futures::stream::unfold(state, |mut state| async move {
        // Whether there was an event or the time ran out, the caller looks.
        let _ = tokio::time::timeout(SLOW, state.event()).await;
        Some(((), state))
    })
    .boxed()
}

fn watch(locks: &Path) -> io::Result<OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&watch, locks, inotify::WatchFlags::MODIFY | inotify::WatchFlags::CLOSE_WRITE)?;
    Ok(watch)
}

struct State {
    watch: Option<OwnedFd>,
    /// The same, known to the tokio runtime on which the stream is polled.
    driven: Option<AsyncFd<OwnedFd>>,
}

impl State {
    async fn event(&mut self) {
        if let Some(watch) = self.watch.take() {
            // SAFETY: an `OwnedFd` names the same open file for as long as it lives.
            self.driven = unsafe { AsyncFd::register(watch) }.ok();
        }
        let Some(driven) = &self.driven else {
            return std::future::pending().await;
        };
        let Ok(mut guard) = driven.readable().await else {
            return std::future::pending().await;
        };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(driven.get_ref(), &mut buffer);
        while reader.next().is_ok() {}
        guard.clear_ready();
    }
}
