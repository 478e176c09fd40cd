//! A push under way, as git's process and the connection of its hook share it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use super::PushContext;

/// The pushes under way by the secret that their hook shows. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pushes {
    by_secret: Arc<Mutex<HashMap<String, Arc<Pushing>>>>,
}

/// One push under way.
#[derive(Debug)]
pub(crate) struct Pushing {
    pub(crate) context: PushContext,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The pusher went away before there was anything to finish.
    abandoned: bool,
    /// The handler was called, or is about to be.
    handling: bool,
    /// Git has ended, and will not touch the repository any more.
    git_ended: bool,
    /// What follows the handler is done.
    settled: bool,
}

/// The part of a push that the session of git holds; the hook finds the push while it is there.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) secret: String,
    pub(crate) pushing: Arc<Pushing>,
    pushes: Pushes,
}

/// The part of a push that its handler holds.
#[derive(Debug)]
pub(crate) struct Handling {
    pushing: Arc<Pushing>,
}

impl Pushes {
    pub(crate) fn register(&self, context: PushContext) -> Registered {
        // 244 random bits from the operating system.
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let pushing = Arc::new(Pushing { context, progress: watch::Sender::default() });
        self.by_secret.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.clone(), pushing.clone());
        Registered { secret, pushing, pushes: self.clone() }
    }

    pub(crate) fn find(&self, secret: &str) -> Option<Arc<Pushing>> {
        self.by_secret.lock().unwrap_or_else(PoisonError::into_inner).get(secret).cloned()
    }
}

impl Pushing {
    /// Past this point the push goes on without its pusher. None if they have gone already, or if it was
    /// past this point before.
    pub(crate) fn handle(self: &Arc<Self>) -> Option<Handling> {
        let begun = self.progress.send_if_modified(|progress| {
            let can_begin = !progress.abandoned && !progress.handling;
            progress.handling |= can_begin;
            can_begin
        });
        begun.then(|| Handling { pushing: self.clone() })
    }

    /// The pusher has gone. True if the push ends with them.
    pub(crate) fn abandon(&self) -> bool {
        self.progress.send_if_modified(|progress| {
            progress.abandoned |= !progress.handling;
            progress.abandoned
        })
    }

    /// Waits until git will not touch the repository any more.
    pub(crate) async fn git_ended(&self) {
        // The sender is in `self`, so that waiting cannot fail.
        let _ = self.progress.subscribe().wait_for(|progress| progress.git_ended).await;
    }

    /// Waits for what follows the handler, if it was called.
    async fn settled(&self) {
        let over = |progress: &Progress| progress.settled || !progress.handling;
        let _ = self.progress.subscribe().wait_for(over).await;
    }
}

impl Registered {
    /// Git has ended: waits until the push is over as a whole.
    pub(crate) async fn finish(self) {
        let pushing = self.pushing.clone();
        drop(self);
        pushing.settled().await;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.pushes.by_secret.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.secret);
        self.pushing.progress.send_modify(|progress| {
            progress.git_ended = true;
            progress.abandoned |= !progress.handling;
        });
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.pushing.progress.send_modify(|progress| progress.settled = true);
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::{AppId, Principal};
    use futures::FutureExt;

    use super::*;

    fn context() -> PushContext {
        PushContext { app: AppId::NIL, principal: Principal::System }
    }

    #[test]
    fn a_push_whose_pusher_left_early_is_not_handled() {
        let push = Pushes::default().register(context());
        assert!(push.pushing.abandon());
        assert!(push.pushing.handle().is_none());
    }

    #[test]
    fn a_push_that_is_handled_is_not_abandoned_and_handled_once() {
        let push = Pushes::default().register(context());
        let handling = push.pushing.handle();
        assert!(handling.is_some());
        assert!(!push.pushing.abandon());
        assert!(push.pushing.handle().is_none());
    }

    #[test]
    fn each_side_waits_for_the_other() {
        let pushes = Pushes::default();
        let push = pushes.register(context());
        let (secret, pushing) = (push.secret.clone(), push.pushing.clone());
        let handling = pushing.handle().unwrap();
        assert!(pushes.find(&secret).is_some());
        assert!(pushing.git_ended().now_or_never().is_none());
        let mut finish = Box::pin(push.finish());
        assert!(finish.as_mut().now_or_never().is_none());
        assert!(pushing.git_ended().now_or_never().is_some());
        assert!(pushes.find(&secret).is_none());
        drop(handling);
        assert!(finish.now_or_never().is_some());
    }

    #[test]
    fn a_hook_that_comes_too_late_finds_nothing() {
        let pushes = Pushes::default();
        let push = pushes.register(context());
        let pushing = push.pushing.clone();
        drop(push);
        assert!(pushing.handle().is_none());
    }
}
