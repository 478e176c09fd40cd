//! Hearing that something of an app changed.

use std::time::Duration;

use flynn_core::api::EventQuery;
use flynn_core::client::{Api, EventNews, Events};
use tokio::time::{Instant, sleep, timeout};

/// How often it is looked where nothing can be heard.
const POLL: Duration = Duration::from_millis(500);
/// How often it is looked although nothing was heard. Some reasons to give up are in no event.
const QUIET: Duration = Duration::from_secs(5);
/// What changes within this time is looked at together.
const BURST: Duration = Duration::from_millis(25);
/// The wait before it is tried to listen again.
const AGAIN: Duration = Duration::from_secs(2);

/// The changes of an app from the moment on that this was made.
pub(super) struct Changes<'a> {
    api: &'a Api,
    app: &'a str,
    events: Option<Events>,
    tried: Instant,
}

impl<'a> Changes<'a> {
    /// Begins to listen. What is looked at after this and changes later is heard of.
    pub(super) async fn of(api: &'a Api, app: &'a str) -> Self {
        let mut changes = Self { api, app, events: None, tried: Instant::now() };
        changes.listen().await;
        changes
    }

    async fn listen(&mut self) {
        self.tried = Instant::now();
        let query = EventQuery { app: Some(self.app.to_owned()), ..EventQuery::default() };
        // Who cannot listen can still look.
        self.events = timeout(AGAIN, self.api.events(&query)).await.ok().and_then(Result::ok);
    }

    /// Returns when it is worth to look again: something changed, or nothing was heard for a while.
    pub(super) async fn next(&mut self) {
        let Some(events) = &mut self.events else {
            sleep(POLL).await;
            if self.tried.elapsed() >= AGAIN {
                // What changed in between is seen by the look that follows.
                self.listen().await;
            }
            return;
        };
        let heard = match timeout(QUIET, events.next()).await {
            Err(_) => return,
            Ok(heard) => heard,
        };
        let mut is_open = matches!(heard, Ok(Some(EventNews::Change(_))));
        let end = Instant::now() + BURST;
        while is_open {
            match tokio::time::timeout_at(end, events.next()).await {
                Err(_) => return,
                Ok(heard) => is_open = matches!(heard, Ok(Some(EventNews::Change(_)))),
            }
        }
        // What was missed is seen by the look that follows.
        self.events = None;
    }
}
