use std::sync::Arc;
use std::time::Duration;

use flynn_build::git::PushOutput;
use flynn_core::link::{Frame, FrameReader};
use flynn_core::noun::Build;
use flynn_core::port::{LinkError, LinkRequest, LogQuery, LogSelection, NodeLink};
use flynn_core::{AppId, BuildId, NodeId, View};
use tokio::time::{sleep, timeout};

/// The most lines of a build that a pusher is shown.
const MOST_LINES: usize = 100_000;
/// The wait before a node is asked again that did not answer.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a node is asked before the pusher is told.
const ATTEMPTS: usize = 4;
/// How long the last lines may take after the end of the build.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The log of a build, which is on its node, shown to a pusher.
pub(super) struct BuildLog<'a> {
    pub(super) link: Arc<dyn NodeLink>,
    pub(super) view: &'a View,
    pub(super) app: AppId,
    pub(super) build: BuildId,
    pub(super) output: &'a dyn PushOutput,
    /// How many lines the pusher has seen.
    shown: usize,
}

impl<'a> BuildLog<'a> {
    pub(super) fn new(
        link: Arc<dyn NodeLink>,
        view: &'a View,
        app: AppId,
        build: BuildId,
        output: &'a dyn PushOutput,
    ) -> Self {
        Self { link, view, app, build, output, shown: 0 }
    }

    /// Shows the lines as they come. It never returns, since only the store says when the build has ended.
    pub(super) async fn follow(&mut self) -> std::convert::Infallible {
        let mut failures = 0;
        loop {
            let Some(node) = self.node().await else { return std::future::pending().await };
            match self.show(node, true).await {
                // The stream may break while the build goes on.
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if failures == ATTEMPTS {
                        let line = format!("The log of the build cannot be shown, but the build goes on: {error}");
                        self.output.line(&line).await;
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Shows what was written and not shown yet, once the build has ended.
    pub(super) async fn finish(mut self) {
        let node = self.view.snapshot().objects.get::<Build>(self.build).and_then(|build| build.spec.node);
        if let Some(node) = node {
            // What is missing was said by `follow`.
            let _ = timeout(LAST_LINES, self.show(node, false)).await;
        }
    }

    /// The node of the build, as soon as it has one; none if that will not come.
    async fn node(&self) -> Option<NodeId> {
        let mut changes = self.view.changes();
        loop {
            changes.mark_unchanged();
            if let Some(node) = self.view.snapshot().objects.get::<Build>(self.build)?.spec.node {
                return Some(node);
            }
            changes.changed().await.ok()?;
        }
    }

    async fn show(&mut self, node: NodeId, follow: bool) -> Result<(), LinkError> {
        let source = LogSelection::Build(self.build);
        let query = LogQuery { app: self.app, source, since: None, last: MOST_LINES, follow };
        let stream = self.link.open(node, LinkRequest::Logs(query)).await?;
        let mut frames = FrameReader::new(stream);
        let mut number = 0;
        loop {
            match frames.next().await {
                Ok(Some(Frame::Line(line))) => {
                    number += 1;
                    if number > self.shown {
                        self.output.line(&line.text).await;
                        self.shown = number;
                    }
                }
                Ok(Some(Frame::Problem(problem))) => return Err(LinkError::Unavailable { problem }),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(LinkError::Broken(error.into())),
            }
        }
    }
}
