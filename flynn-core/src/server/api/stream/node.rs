//! The lines of one node.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::{sleep, timeout};

use crate::error::Chain;
use crate::link::{Frame, FrameReader};
use crate::noun::{AppId, NodeId};
use crate::port::{Duplex, LinkRequest, LogLine, LogQuery, LogSelection, NodeLink};
use crate::time::Timestamp;

/// How long a node has to hand over what is there already.
const BACKLOG_DEADLINE: Duration = Duration::from_secs(15);
/// After how long a node whose lines broke off is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// The most lines that are asked for at once.
pub(super) const MOST_LINES: usize = 10_000;

/// Whose lines are wanted.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) links: Arc<dyn NodeLink>,
    pub(super) app: AppId,
    pub(super) source: LogSelection,
}

impl Wanted {
    async fn open(
        &self,
        node: NodeId,
        since: Option<Timestamp>,
        last: usize,
        follow: bool,
    ) -> Result<FrameReader<Box<dyn Duplex>>, String> {
        let query = LogQuery { app: self.app, source: self.source.clone(), since, last, follow };
        let opened = self.links.open(node, LinkRequest::Logs(query)).await;
        opened.map(FrameReader::new).map_err(|error| Chain(&error).to_string())
    }

    /// What is there already, oldest first.
    pub(super) async fn backlog(
        &self,
        node: NodeId,
        since: Option<Timestamp>,
        last: usize,
    ) -> Result<Vec<LogLine>, String> {
        let read = async {
            let mut reader = self.open(node, since, last, false).await?;
            let mut lines = Vec::new();
            while lines.len() < MOST_LINES {
                match reader.next().await.map_err(|error| Chain(&error).to_string())? {
                    Some(Frame::Line(line)) => lines.push(line),
                    Some(Frame::Problem(problem)) => return Err(problem),
                    Some(_) => {}
                    None => break,
                }
            }
            Ok(lines)
        };
        timeout(BACKLOG_DEADLINE, read).await.unwrap_or_else(|_| Err(String::from("it does not answer")))
    }

    /// The lines to come, after those that were `seen`. A node that cannot be reached is asked again for ever.
    pub(super) fn follow(self, node: NodeId, seen: Seen) -> BoxStream<'static, LogLine> {
        let follower = Follower { wanted: self, node, seen, reader: None };
        stream::unfold(follower, |mut follower| async move { Some((follower.next().await, follower)) }).boxed()
    }
}

/// What was read of a node, so that nothing is shown twice when it is asked again.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The time of the newest line; lines from before are known.
    newest: Option<Timestamp>,
    /// The lines of that time.
    lines: Vec<LogLine>,
    /// How many lines to ask for at first.
    first: usize,
}

impl Seen {
    /// Nothing was read, and of what is there so many lines are wanted, none from before `since`.
    pub(super) fn nothing(since: Option<Timestamp>, first: usize) -> Self {
        Self { newest: since, lines: Vec::new(), first }
    }

    /// These were read, oldest first; what has come since is wanted.
    pub(super) fn after(lines: &[LogLine], since: Option<Timestamp>) -> Self {
        let mut seen = Self::nothing(since, MOST_LINES);
        lines.iter().for_each(|line| seen.note(line));
        seen
    }

    fn note(&mut self, line: &LogLine) {
        match self.newest {
            Some(newest) if line.at < newest => {}
            Some(newest) if line.at == newest => self.lines.push(line.clone()),
            _ => {
                self.newest = Some(line.at);
                self.lines = vec![line.clone()];
            }
        }
    }
}

struct Follower {
    wanted: Wanted,
    node: NodeId,
    seen: Seen,
    reader: Option<Open>,
}

struct Open {
    reader: FrameReader<Box<dyn Duplex>>,
    /// What was seen before and comes again; none once something else has come.
    again: Option<(Timestamp, Vec<LogLine>)>,
}

impl Open {
    /// Whether `line` comes for the first time.
    fn is_fresh(&mut self, line: &LogLine) -> bool {
        let Some((newest, known)) = &mut self.again else { return true };
        if line.at < *newest {
            return false;
        }
        if line.at == *newest
            && let Some(place) = known.iter().position(|known| known == line)
        {
            known.swap_remove(place);
            return false;
        }
        self.again = None;
        true
    }
}

impl Follower {
    async fn next(&mut self) -> LogLine {
        loop {
            let Some(open) = &mut self.reader else {
                let Seen { newest, lines, first } = &self.seen;
                match self.wanted.open(self.node, *newest, *first, true).await {
                    Ok(reader) => {
                        let again = newest.map(|newest| (newest, lines.clone()));
                        self.reader = Some(Open { reader, again });
                        // From here on, everything that was not seen.
                        self.seen.first = MOST_LINES;
                    }
                    Err(_) => sleep(AGAIN).await,
                }
                continue;
            };
            match open.reader.next().await {
                Ok(Some(Frame::Line(line))) => {
                    if open.is_fresh(&line) {
                        self.seen.note(&line);
                        return line;
                    }
                }
                Ok(Some(Frame::Problem(_)) | None) | Err(_) => {
                    self.reader = None;
                    sleep(AGAIN).await;
                }
                Ok(Some(_)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::port::LogStream;

    fn line(at: u64, text: &str) -> LogLine {
        LogLine { at: Timestamp::from_millis(at), stream: LogStream::Output(Id::NIL), text: text.into() }
    }

    /// Which of `again` are shown to a reader that has seen `before`.
    fn shown(before: &[LogLine], again: &[LogLine]) -> Vec<String> {
        let seen = Seen::after(before, None);
        let known = seen.newest.map(|newest| (newest, seen.lines));
        let mut open = Open { reader: FrameReader::new(Box::new(tokio::io::empty())), again: known };
        again.iter().filter(|line| open.is_fresh(line)).map(|line| line.text.clone()).collect()
    }

    #[test]
    fn what_comes_again_is_shown_once() {
        let before = [line(1, "a"), line(2, "b"), line(2, "b"), line(2, "c")];
        let later = [line(2, "b"), line(2, "c"), line(2, "b"), line(2, "b"), line(2, "d"), line(3, "e")];
        assert_eq!(shown(&before, &later), ["b", "d", "e"], "a line that was written thrice and seen twice");
        assert_eq!(shown(&before, &[line(1, "a"), line(3, "e")]), ["e"]);
        assert_eq!(shown(&[], &[line(1, "a")]), ["a"]);
        assert_eq!(shown(&before, &[line(3, "e"), line(1, "late")]), ["e", "late"], "clocks of processes differ");
    }
}
