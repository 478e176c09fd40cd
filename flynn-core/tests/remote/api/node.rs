//! A node that has lines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::client::{Credential, Endpoint, RemoteOptions, link};
use flynn_core::link::{Frame, FrameWriter};
use flynn_core::port::{Duplex, LinkError, LinkHandler, LinkRequest, LogLine, LogQuery, LogSelection, LogStream};
use flynn_core::server::link::Links;
use flynn_core::{JobId, NodeId, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::site::until;

/// Keeps lines in memory, and hands them out as an agent would.
pub(super) struct Lines {
    kept: Mutex<Vec<LogLine>>,
    count: watch::Sender<usize>,
    writing: Mutex<JoinSet<()>>,
}

impl Lines {
    fn matching(&self, query: &LogQuery, from: usize) -> (usize, Vec<LogLine>) {
        let kept = self.kept.lock().unwrap();
        let is_asked = |line: &&LogLine| match (&query.source, &line.stream) {
            (LogSelection::Job(job), LogStream::Output(of) | LogStream::Errors(of)) => job == of,
            (LogSelection::Job(_), _) => false,
            (LogSelection::Build(build), LogStream::Build(of)) => build == of,
            (LogSelection::Build(_), _) => false,
            (_, LogStream::Build(_)) => false,
            _ => true,
        };
        let is_new = |line: &&LogLine| query.since.is_none_or(|since| line.at >= since);
        let lines = kept[from..].iter().filter(is_asked).filter(is_new).cloned().collect();
        (kept.len(), lines)
    }
}

/// What the agent's side of the link is given.
struct Handler(Arc<Lines>);

#[async_trait]
impl LinkHandler for Handler {
    async fn open(&self, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        let LinkRequest::Logs(query) = request else {
            return Err(LinkError::Refused { problem: "this node has lines only".into() });
        };
        let (near, far) = tokio::io::duplex(1_024);
        let lines = self.0.clone();
        let mut count = lines.count.subscribe();
        self.0.writing.lock().unwrap().spawn(async move {
            let mut writer = FrameWriter::new(far);
            let (mut place, mut found) = lines.matching(&query, 0);
            found.drain(..found.len().saturating_sub(query.last));
            loop {
                for line in found {
                    if writer.write(Frame::Line(line)).await.is_err() {
                        return;
                    }
                }
                if !query.follow {
                    return drop(writer.shutdown().await);
                }
                count.wait_for(|count| *count > place).await.unwrap();
                (place, found) = lines.matching(&query, place);
            }
        });
        Ok(Box::new(near))
    }
}

pub(super) struct Node {
    lines: Arc<Lines>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Node {
    pub(super) async fn start(place: (Endpoint, Credential), node: NodeId, links: &Links) -> Self {
        let lines = Lines { kept: Mutex::default(), count: watch::Sender::new(0), writing: Mutex::default() };
        Self::again(place, node, links, Arc::new(lines)).await
    }

    async fn again(
        (endpoint, credential): (Endpoint, Credential),
        node: NodeId,
        links: &Links,
        lines: Arc<Lines>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let handler = Arc::new(Handler(lines.clone()));
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            link::serve(endpoint, credential, RemoteOptions::default(), node, handler, stopped).await.unwrap();
        });
        until("the node is linked", async || links.nodes().contains(&node)).await;
        Self { lines, stop, task }
    }

    /// Its agent restarts; the lines stay.
    pub(super) async fn restart(self, place: (Endpoint, Credential), node: NodeId, links: &Links) -> Self {
        let lines = self.lines.clone();
        self.stop().await;
        until("the way is gone", async || !links.nodes().contains(&node)).await;
        Self::again(place, node, links, lines).await
    }

    pub(super) fn say(&self, stream: LogStream, at: u64, text: &str) {
        let line = LogLine { at: Timestamp::from_millis(at), stream, text: text.into() };
        self.lines.kept.lock().unwrap().push(line);
        self.lines.count.send_modify(|count| *count += 1);
    }

    pub(super) fn put(&self, job: JobId, at: u64, text: &str) {
        self.say(LogStream::Output(job), at, text);
    }

    pub(super) async fn stop(self) {
        drop(self.stop);
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("it stops").unwrap();
        let mut writing = std::mem::take(&mut *self.lines.writing.lock().unwrap());
        writing.shutdown().await;
    }
}
