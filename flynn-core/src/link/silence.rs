use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Measures how long somebody waits for something, and not how long they do something else.
#[derive(Debug)]
pub(crate) struct Silence {
    most: Duration,
    waiting: bool,
    end: Pin<Box<Sleep>>,
}

impl Silence {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, waiting: false, end: Box::pin(sleep(most)) }
    }

    /// Something was heard.
    pub(crate) fn broken(&mut self) {
        self.waiting = false;
    }

    /// Nothing is there; ready when that is so for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waiting {
            self.waiting = true;
            self.end.as_mut().reset(Instant::now() + self.most);
        }
        self.end.as_mut().poll(cx)
    }
}
