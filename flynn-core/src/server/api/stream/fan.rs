//! The lines of an app, from all nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{BoxStream, SelectAll};
use futures::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};

use super::node::{Seen, Wanted};
use super::sse;
use crate::api::{LogEntry, Time};
use crate::noun::{AppId, Job, JobId, Node, NodeId, Objects};
use crate::port::{LogLine, LogStream};
use crate::server::api::Api;
use crate::time::Timestamp;

/// How often nodes that are not followed yet are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How lines are shown.
pub(super) struct Names {
    api: Arc<Api>,
    /// Jobs that are over, or were seen.
    known: HashMap<JobId, (String, Option<u64>)>,
}

impl Names {
    pub(super) fn new(api: Arc<Api>, over: impl IntoIterator<Item = (JobId, (String, Option<u64>))>) -> Self {
        Self { api, known: over.into_iter().collect() }
    }

    fn of_job(&mut self, id: JobId) -> (String, Option<u64>) {
        let snapshot = self.api.state.view.snapshot();
        match snapshot.objects.get(id) {
            Some(job) => {
                let release = snapshot.objects.get(job.spec.release).map(|release| release.spec.number);
                let named = (job.name(), release);
                self.known.insert(id, named.clone());
                named
            }
            None => self.known.get(&id).cloned().unwrap_or_else(|| (id.to_string(), None)),
        }
    }

    /// `line` as an event.
    pub(super) fn show(&mut self, line: LogLine) -> String {
        let (job, (name, release), stream) = match line.stream {
            LogStream::Output(job) => (Some(job), self.of_job(job), "output"),
            LogStream::Errors(job) => (Some(job), self.of_job(job), "errors"),
            LogStream::Build(_) => (None, (String::from("build"), None), "build"),
            LogStream::Platform(_) => (None, (String::from("flynn"), None), "platform"),
        };
        let stream = stream.to_owned();
        sse::event("line", None, &LogEntry { job, name, release, stream, time: Time(line.at), text: line.text })
    }
}

/// Which part of a log is wanted.
pub(super) struct Part {
    pub(super) wanted: Wanted,
    /// Only on this node; on all of them if it is none.
    pub(super) node: Option<NodeId>,
    pub(super) since: Option<Timestamp>,
    pub(super) last: usize,
    pub(super) follow: bool,
}

impl Part {
    fn nodes(&self, objects: &Objects) -> Vec<NodeId> {
        match self.node {
            Some(node) => vec![node],
            None => objects.iter::<Node>().map(|node| node.id).collect(),
        }
    }
}

/// The events of `part`: what is there already merged by time, then what comes.
pub(super) async fn lines(api: Arc<Api>, part: Part, mut names: Names) -> BoxStream<'static, String> {
    let began = api.state.clock.now();
    let objects = api.state.view.snapshot().objects;
    let nodes = part.nodes(&objects);
    let backlogs = nodes.iter().map(|node| part.wanted.backlog(*node, part.since, part.last));
    let backlogs = join_all(backlogs).await;
    let (mut merged, mut first, mut following) = (Vec::new(), String::new(), SelectAll::new());
    for (node, backlog) in nodes.iter().zip(backlogs) {
        let lines = backlog.unwrap_or_else(|problem| {
            if matters(&objects, part.wanted.app, *node, part.node) {
                let name = objects.get(*node).map_or_else(|| node.to_string(), |node| node.spec.name.to_string());
                first.push_str(&sse::notice("notice", format!("lines of node {name} are missing: {problem}")));
            }
            Vec::new()
        });
        if part.follow {
            // Where nothing is there yet, all is wanted that comes from here on.
            let since = part.since.unwrap_or(began).max(began);
            let seen = match lines.is_empty() {
                true => Seen::nothing(Some(since), super::node::MOST_LINES),
                false => Seen::after(&lines, Some(lines[0].at)),
            };
            following.push(part.wanted.clone().follow(*node, seen));
        }
        merged.extend(lines);
    }
    merged.sort_by_key(|line| line.at);
    let skipped = merged.len().saturating_sub(part.last);
    merged.drain(..skipped).for_each(drop);
    merged.into_iter().for_each(|line| first.push_str(&names.show(line)));
    let begin = stream::iter(Some(first).filter(|first| !first.is_empty()));
    if !part.follow {
        return begin.chain(stream::iter([sse::notice("end", "that is all there is")])).boxed();
    }
    let known = nodes.into_iter().collect();
    let fan = Fan { api, part, names, known, following, began };
    begin.chain(stream::unfold(fan, |mut fan| async move { Some((fan.next().await, fan)) })).boxed()
}

/// Whether something may be missing if `node` does not answer.
fn matters(objects: &Objects, app: AppId, node: NodeId, asked: Option<NodeId>) -> bool {
    asked.is_some() || objects.iter::<Job>().any(|job| job.spec.app == app && job.spec.node == Some(node))
}

/// What comes.
struct Fan {
    api: Arc<Api>,
    part: Part,
    names: Names,
    known: HashSet<NodeId>,
    following: SelectAll<BoxStream<'static, LogLine>>,
    began: Timestamp,
}

impl Fan {
    async fn next(&mut self) -> String {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(line) = self.following.next() => return self.names.show(line),
                _ = look.tick() => self.look(),
            }
        }
    }

    /// Follows nodes that have come since.
    fn look(&mut self) {
        for node in self.part.nodes(&self.api.state.view.snapshot().objects) {
            if self.known.insert(node) {
                let seen = Seen::nothing(Some(self.began), super::node::MOST_LINES);
                self.following.push(self.part.wanted.clone().follow(node, seen));
            }
        }
    }
}
