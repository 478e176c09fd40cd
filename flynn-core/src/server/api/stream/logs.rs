//! Logs of apps and builds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::fan::{self, Names, Part};
use super::node::{MOST_LINES, Seen, Wanted};
use super::sse;
use crate::api::LogQuery;
use crate::name::ProcessName;
use crate::noun::{AppId, Build, BuildId, BuildState, BuildStatus, Job, JobId, NodeId, Stored};
use crate::noun::{Kind, Object};
use crate::port::{ArchiveQuery, Cursor, LogLine, LogSelection};
use crate::revision::Revision;
use crate::scope::Scope;
use crate::server::api::builds;
use crate::server::api::document::build as build_document;
use crate::server::api::exchange::Query;
use crate::server::api::processes::job_named;
use crate::server::api::{Api, ApiError, Call};

const USUAL_LINES: u32 = 100;

pub(super) async fn app(call: Call, Query(query): Query<LogQuery>) -> Result<Response<Body>, ApiError> {
    let app = call.app()?.id;
    let last = query.lines.unwrap_or(USUAL_LINES) as usize;
    if last > MOST_LINES {
        return Err(ApiError::invalid("lines", format!("{last} is more than the {MOST_LINES} allowed")));
    }
    let (source, node) = selection(&call, app, &query)?;
    let wanted = Wanted { links: call.api.state.links.clone(), app, source };
    let since = query.since.map(|time| time.0);
    let part = Part { wanted, node, since, last, follow: query.follow };
    let names = Names::new(call.api.clone(), over(&call, app).await?);
    let api = call.api.clone();
    // The head of the answer does not wait for the nodes.
    let events = stream::once(fan::lines(api, part, names)).flatten().boxed();
    sse::answer(&call, Scope::App(app), events)
}

fn selection(call: &Call, app: AppId, query: &LogQuery) -> Result<(LogSelection, Option<NodeId>), ApiError> {
    match (&query.job, &query.process) {
        (Some(_), Some(_)) => Err(ApiError::invalid("process", "a job has one process type: leave one of them out")),
        (Some(text), None) => match (job_named(call.objects(), app, text), text.parse::<JobId>()) {
            (Ok(job), _) => Ok((LogSelection::Job(job.id), job.spec.node)),
            (Err(_), Ok(id)) => Ok((LogSelection::Job(id), None)),
            (Err(error), Err(_)) => Err(error),
        },
        (None, Some(process)) => {
            let process = ProcessName::new(process).map_err(|error| ApiError::invalid("process", error))?;
            Ok((LogSelection::Process(process), None))
        }
        (None, None) => Ok((LogSelection::App, None)),
    }
}

type Named = (JobId, (String, Option<u64>));

/// The names of jobs that are over but may have lines.
async fn over(call: &Call, app: AppId) -> Result<Vec<Named>, ApiError> {
    let archive = ArchiveQuery { kind: Kind::Job, app: Some(app) };
    let page = call.api.state.history.archived(archive, Cursor::default(), 1_000).await?;
    let named = |job: &Stored<Job>| {
        let release = call.objects().get(job.spec.release).map(|release| release.spec.number);
        (job.id, (job.name(), release))
    };
    let named = page.entries.into_iter().filter_map(|archived| match archived.object {
        Object::Job(job) => Some(named(&job)),
        _ => None,
    });
    Ok(named.collect())
}

pub(super) async fn build(call: Call, (): ()) -> Result<Response<Body>, ApiError> {
    let app = call.app()?.id;
    let build = builds::found(&call, app).await?;
    let source = LogSelection::Build(build.id);
    let wanted = Wanted { links: call.api.state.links.clone(), app, source };
    let names = Names::new(call.api.clone(), []);
    let following = Following {
        api: call.api.clone(),
        id: build.id,
        last: build,
        wanted,
        names,
        lines: None,
        changes: call.api.state.view.changes(),
        waited: Waited { began: Instant::now(), said: String::new() },
        ended: false,
    };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((event, following))
    });
    sse::answer(&call, Scope::App(app), events.boxed())
}

/// A build that has no node for so long says why.
const PATIENCE: Duration = Duration::from_secs(2);
/// After its end has been committed, a build's last lines have this long to arrive after one another.
const QUIET: Duration = Duration::from_secs(1);

struct Following {
    api: Arc<Api>,
    id: BuildId,
    /// The build as it was last seen.
    last: Arc<Stored<Build>>,
    wanted: Wanted,
    names: Names,
    lines: Option<BoxStream<'static, LogLine>>,
    changes: watch::Receiver<Revision>,
    waited: Waited,
    ended: bool,
}

/// What a reader knows of the wait for a node.
struct Waited {
    began: Instant,
    /// The reason that was given last.
    said: String,
}

impl Following {
    fn look(&mut self) {
        // What changes from here on wakes.
        self.changes.borrow_and_update();
        if let Some(build) = self.api.state.view.snapshot().objects.get(self.id) {
            self.last = build.clone();
        }
    }

    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        loop {
            self.look();
            let is_end = self.last.status.state.is_end();
            let Some(node) = self.last.spec.node else {
                if is_end {
                    return Some(self.end());
                }
                match self.reason().await {
                    Some(reason) => return Some(sse::notice("notice", format!("the build waits: {reason}"))),
                    None => continue,
                }
            };
            if is_end && self.lines.is_none() {
                return Some(self.whole(node).await);
            }
            let wanted = &self.wanted;
            let lines = self.lines.get_or_insert_with(|| wanted.clone().follow(node, Seen::nothing(None, MOST_LINES)));
            if is_end {
                return match timeout(QUIET, lines.next()).await {
                    Ok(Some(line)) => Some(self.names.show(line)),
                    _ => Some(self.end()),
                };
            }
            tokio::select! {
                Some(line) = lines.next() => return Some(self.names.show(line)),
                () = changed(&mut self.changes) => {}
            }
        }
    }

    /// Why the build waits for a node, once it has for a while and if that is news; none as soon as anything changes.
    async fn reason(&mut self) -> Option<String> {
        let status = &self.last.status;
        let news = match &status.state {
            BuildState::Pending { reason } if *status != BuildStatus::default() => Some(reason.clone()),
            _ => None,
        };
        let Some(reason) = news.filter(|reason| *reason != self.waited.said) else {
            changed(&mut self.changes).await;
            return None;
        };
        tokio::select! {
            () = sleep_until(self.waited.began + PATIENCE) => {
                self.waited.said.clone_from(&reason);
                Some(reason)
            }
            () = changed(&mut self.changes) => None,
        }
    }

    /// All lines of a build that has ended.
    async fn whole(&mut self, node: NodeId) -> String {
        let mut text = match self.wanted.backlog(node, None, MOST_LINES).await {
            Ok(lines) => lines.into_iter().map(|line| self.names.show(line)).collect(),
            Err(problem) => sse::notice("notice", format!("its lines are missing: {problem}")),
        };
        text.push_str(&self.end());
        text
    }

    fn end(&mut self) -> String {
        self.ended = true;
        sse::event("end", None, &build_document(&self.api.state.view.snapshot().objects, &self.last))
    }
}

/// Waits for the next change; a view that is not followed any more never has one.
async fn changed(changes: &mut watch::Receiver<Revision>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
