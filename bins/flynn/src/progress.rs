//! A line on the terminal that says what is waited for.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, Write};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::output::{Output, printable};

const FRAMES: [&str; 4] = ["|", "/", "-", "\\"];
/// What is shorter needs no progress.
const QUIET: Duration = Duration::from_millis(500);
const FRAME: Duration = Duration::from_millis(120);
const CLEAR: &str = "\r\u{1b}[2K";

/// Says on standard error what is waited for, if that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    on: bool,
    text: RefCell<String>,
}

impl Progress {
    pub(crate) fn new(on: bool, text: impl Into<String>) -> Self {
        Self { on, text: RefCell::new(text.into()) }
    }

    /// Says something else from here on.
    pub(crate) fn say(&self, text: impl Into<String>) {
        *self.text.borrow_mut() = text.into();
    }

    /// Says on standard error what belongs to no result, above the line.
    pub(crate) fn remark(&self, output: Output, text: &str) {
        if self.on {
            draw(CLEAR);
        }
        output.remark(text);
    }

    /// Shows the line from half a second on until `work` is done, and takes it away.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.on {
            return work.await;
        }
        let _clear = Clear;
        let mut work = pin!(work);
        let started = Instant::now() + QUIET;
        let mut ticks = interval_at(started, FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for frame in FRAMES.iter().cycle() {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => draw(&line(frame, &self.text.borrow(), started.elapsed() + QUIET)),
            }
        }
        work.await
    }
}

fn line(frame: &str, text: &str, elapsed: Duration) -> String {
    let text: String = printable(text).chars().take(100).collect();
    format!("{CLEAR}{frame} {text} ({}s)", elapsed.as_secs())
}

/// Progress is no result: a terminal that cannot be written to costs nothing.
fn draw(line: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
}

/// Takes the line away, however the wait ends.
struct Clear;

impl Drop for Clear {
    fn drop(&mut self) {
        draw(CLEAR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_one_line() {
        assert_eq!(line("|", "a\nb", Duration::from_secs(3)), format!("{CLEAR}| a b (3s)"));
        assert!(line("|", &"x".repeat(500), Duration::ZERO).len() < 120);
    }

    #[tokio::test]
    async fn nothing_is_lost_of_the_work() {
        assert_eq!(Progress::new(false, "x").during(async { 7 }).await, 7);
        assert_eq!(Progress::new(true, "x").during(async { 7 }).await, 7);
    }
}
