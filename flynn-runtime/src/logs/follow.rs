use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::port::{Lines, LogLine, LogQuery, LogSelection};
use futures::StreamExt;

use super::archive::Archive;
use super::cursor::Cursor;
use super::origin::Origin;

/// More lines of the past than that are not given.
const MOST_LINES: usize = 10_000;
/// And no more bytes.
const MOST_BYTES: usize = 16 << 20;
/// Between two looks for more lines: the shortest pause after some came, the longest when it is quiet.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

pub(super) fn lines(archive: Arc<Archive>, query: LogQuery) -> Lines {
    let reader = Reader { archive, query, cursors: BTreeMap::new(), seen: BTreeSet::new(), is_complete: false };
    let state = State { reader: Some(reader), ready: VecDeque::new(), begun: false, pause: PAUSES.0 };
    futures::stream::unfold(state, |mut state| async move {
        let line = state.next().await?;
        Some((line, state))
    })
    .boxed()
}

struct State {
    /// None after it failed.
    reader: Option<Reader>,
    ready: VecDeque<LogLine>,
    begun: bool,
    pause: Duration,
}

impl State {
    async fn next(&mut self) -> Option<LogLine> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            let mut reader = self.reader.take()?;
            if self.begun && (!reader.query.follow || reader.is_complete) {
                return None;
            }
            let begun = std::mem::replace(&mut self.begun, true);
            let work = move || {
                let lines = if begun { reader.read_on() } else { reader.begin() };
                (reader, lines)
            };
            // It fails only when the tokio runtime ends.
            let (reader, lines) = tokio::task::spawn_blocking(work).await.ok()?;
            match lines {
                Ok(lines) => self.ready.extend(lines),
                Err(error) => {
                    tracing::warn!(%error, "a log cannot be read");
                    return None;
                }
            }
            self.reader = Some(reader);
            if self.ready.is_empty() && begun {
                tokio::time::sleep(self.pause).await;
                self.pause = PAUSES.1.min(self.pause * 2);
            } else {
                self.pause = PAUSES.0;
            }
        }
    }
}

struct Reader {
    archive: Arc<Archive>,
    query: LogQuery,
    cursors: BTreeMap<Origin, Cursor>,
    /// The jobs of the app that were looked at, wanted or not.
    seen: BTreeSet<JobId>,
    is_complete: bool,
}

impl Reader {
    /// The lines that are there, as many as are wanted.
    fn begin(&mut self) -> io::Result<Vec<LogLine>> {
        let last = self.query.last.min(MOST_LINES);
        let mut lines = Vec::new();
        for origin in self.origins()? {
            let mut cursor = Cursor::before_the_last(&self.archive, origin, last)?;
            let is_complete = loop {
                let (more, is_complete) = cursor.read(&self.archive)?;
                let is_empty = more.is_empty();
                lines.extend(more);
                newest(&mut lines, last);
                if is_empty || is_complete {
                    break is_complete;
                }
            };
            self.keep(origin, cursor, is_complete);
        }
        self.wanted(&mut lines);
        Ok(lines)
    }

    /// The lines that came since.
    fn read_on(&mut self) -> io::Result<Vec<LogLine>> {
        for origin in self.origins()? {
            self.cursors.insert(origin, Cursor::at_the_beginning(origin));
        }
        let mut lines = Vec::new();
        for (origin, mut cursor) in std::mem::take(&mut self.cursors) {
            let (more, is_complete) = cursor.read(&self.archive)?;
            lines.extend(more);
            self.keep(origin, cursor, is_complete);
        }
        lines.sort_by_key(|line| line.at);
        self.wanted(&mut lines);
        Ok(lines)
    }

    fn keep(&mut self, origin: Origin, cursor: Cursor, is_complete: bool) {
        if !is_complete {
            self.cursors.insert(origin, cursor);
        } else if matches!(self.query.source, LogSelection::Job(_)) {
            self.is_complete = true;
        }
    }

    fn wanted(&self, lines: &mut Vec<LogLine>) {
        lines.retain(|line| self.query.since.is_none_or(|since| line.at >= since));
    }

    /// What is asked for and was not looked at before.
    fn origins(&mut self) -> io::Result<Vec<Origin>> {
        let app = self.query.app;
        let first = self.cursors.is_empty() && self.seen.is_empty();
        let mut origins = Vec::new();
        match &self.query.source {
            LogSelection::Build(build) if first => origins.push(Origin::Build(*build)),
            LogSelection::Job(job) => {
                let begun = self.archive.about(app, *job)?.is_some();
                origins.extend((begun && self.seen.insert(*job)).then_some(Origin::Job(app, *job)));
            }
            LogSelection::App | LogSelection::Process(_) => {
                let process = match &self.query.source {
                    LogSelection::Process(process) => Some(process),
                    _ => None,
                };
                if process.is_none() && !self.cursors.contains_key(&Origin::Platform(app)) {
                    origins.push(Origin::Platform(app));
                }
                for job in self.archive.jobs(app)? {
                    if self.seen.contains(&job) {
                        continue;
                    }
                    // One that is just beginning is looked at again.
                    let Some(about) = self.archive.about(app, job)? else { continue };
                    self.seen.insert(job);
                    if process.is_none_or(|process| about.process.as_ref() == Some(process)) {
                        origins.push(Origin::Job(app, job));
                    }
                }
            }
            _ => {}
        }
        Ok(origins)
    }
}

/// Keeps the newest lines in their order, no more than `last` and not too much of them.
fn newest(lines: &mut Vec<LogLine>, last: usize) {
    lines.sort_by_key(|line| line.at);
    let mut bytes = 0;
    let kept = lines.iter().rev().take(last).take_while(|line| {
        bytes += line.text.len();
        bytes <= MOST_BYTES
    });
    let kept = kept.count();
    lines.drain(..lines.len() - kept);
}
