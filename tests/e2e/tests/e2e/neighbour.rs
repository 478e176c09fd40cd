//! An app that others are beside.
#![allow(clippy::disallowed_methods, reason = "it measures in real time")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use flynn_rig::Rig;

const PAUSE: Duration = Duration::from_millis(20);

/// Asks an app for its page over and over, each time over a connection of its own.
pub(crate) struct Neighbour<'scope> {
    over: &'scope AtomicBool,
    asking: ScopedJoinHandle<'scope, Asked>,
}

/// What came of it.
pub(crate) struct Asked {
    count: usize,
    slowest: Duration,
    failed: Vec<String>,
}

impl<'scope> Neighbour<'scope> {
    /// Begins. `over` tells the thread to end.
    pub(crate) fn ask<'env: 'scope>(
        scope: &'scope thread::Scope<'scope, 'env>,
        rig: &'env Rig,
        app: &'static str,
        over: &'env AtomicBool,
    ) -> Self {
        let asking = scope.spawn(move || {
            let mut asked = Asked { count: 0, slowest: Duration::ZERO, failed: Vec::new() };
            while !over.load(Ordering::Relaxed) {
                let before = Instant::now();
                match rig.page(app, "/") {
                    Ok(answer) if answer.status == 200 => {}
                    other => asked.failed.push(format!("request {}: {other:?}", asked.count)),
                }
                asked.count += 1;
                asked.slowest = asked.slowest.max(before.elapsed());
                thread::sleep(PAUSE);
            }
            asked
        });
        Self { over, asking }
    }

    /// Ends, and asserts that each request was answered well.
    pub(crate) fn was_served(self) {
        self.over.store(true, Ordering::Relaxed);
        let Asked { count, slowest, failed } = self.asking.join().unwrap();
        assert!(failed.is_empty(), "{} of {count} requests failed: {failed:#?}", failed.len());
        assert!(count > 50, "only {count} requests");
        assert!(slowest < Duration::from_secs(5), "a request took {slowest:?}");
    }
}

/// Ends the thread also if the test fails.
pub(crate) struct Ending<'a>(pub(crate) &'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
