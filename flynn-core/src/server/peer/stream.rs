//! Answers that are lines, made as fast as they are read.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::gate::ReadGuard;
use crate::error::Chain;
use crate::port::{Commit, Event, Snapshot, Store, Tail, TailError};
use crate::wire::peer::{Line, encode};

/// Lines are handed on when there is this much of them.
const CHUNK_BYTES: usize = 64 << 10;

type Lines = Box<dyn Iterator<Item = Line> + Send>;

/// As many of the next lines as make a chunk; none if there are no more.
fn chunk(lines: &mut Lines) -> Option<Bytes> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&written(&line));
        text.push('\n');
        if text.len() >= CHUNK_BYTES {
            break;
        }
    }
    (!text.is_empty()).then(|| text.into())
}

fn written(line: &Line) -> String {
    encode("line", line).unwrap_or_else(|error| {
        // The reader counts the lines of a commit, so there has to be one.
        let opaque = Line::Opaque(Chain(&error).to_string());
        encode("line", &opaque).unwrap_or_else(|_| String::from("{\"type\":\"opaque\"}"))
    })
}

/// A whole snapshot.
pub(super) fn snapshot(snapshot: Snapshot, permit: OwnedSemaphorePermit) -> Body {
    let objects: Vec<_> = snapshot.objects.all().collect();
    let head = Line::Snapshot { revision: snapshot.revision, at: snapshot.at, objects: objects.len() as u64 };
    let events = objects.into_iter().map(|object| Line::Event(Event::Put(object)));
    let lines: Lines = Box::new(std::iter::once(head).chain(events));
    let chunks = stream::iter(std::iter::from_fn({
        let mut lines = lines;
        move || {
            let _held = &permit;
            chunk(&mut lines)
        }
    }));
    Body::from_stream(chunks.map(Ok::<_, Infallible>))
}

fn lines_of(commit: Commit) -> Lines {
    let Commit { revision, at, events } = commit;
    let head = Line::Commit { revision, at, events: events.len() as u64 };
    Box::new(std::iter::once(head).chain(events.into_iter().map(Line::Event)))
}

/// A tail as long as its reader may read it.
pub(super) struct Following<S> {
    tail: Tail,
    guard: ReadGuard<S>,
    heartbeat: Duration,
    closing: Option<watch::Receiver<bool>>,
    /// What is being written.
    lines: Option<Lines>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

enum Step {
    Next(Option<Result<Commit, TailError>>),
    Beat,
    Closing,
}

impl<S: Store + 'static> Following<S> {
    pub(super) fn new(
        tail: Tail,
        guard: ReadGuard<S>,
        heartbeat: Duration,
        closing: Option<watch::Receiver<bool>>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { tail, guard, heartbeat, closing, lines: None, ended: false, _permit: permit }
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut following| async move {
            let chunk = following.next().await?;
            Some((Ok::<_, Infallible>(chunk), following))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.lines.as_mut().and_then(chunk) {
                return Some(chunk);
            }
            if self.ended {
                return None;
            }
            let lines = match self.step().await {
                Ok(lines) => lines,
                Err(error) => {
                    self.ended = true;
                    Box::new(std::iter::once(Line::End(error)))
                }
            };
            self.lines = Some(lines);
        }
    }

    async fn step(&mut self) -> Result<Lines, TailError> {
        let step = tokio::select! {
            next = self.tail.next() => Step::Next(next),
            () = tokio::time::sleep(self.heartbeat) => Step::Beat,
            () = closed(&mut self.closing) => Step::Closing,
        };
        match step {
            Step::Next(Some(Ok(commit))) => {
                self.guard.check().await?;
                Ok(lines_of(commit))
            }
            Step::Next(Some(Err(error))) => Err(error),
            Step::Next(None) => Err(TailError::Unavailable("the log ended".into())),
            Step::Beat => {
                self.guard.check_time().await?;
                Ok(Box::new(std::iter::once(Line::Beat)))
            }
            Step::Closing => Err(TailError::Unavailable("the server is shutting down".into())),
        }
    }
}

async fn closed(closing: &mut Option<watch::Receiver<bool>>) {
    match closing {
        Some(closing) => drop(closing.wait_for(|closing| *closing).await),
        None => std::future::pending().await,
    }
}
