use std::sync::Arc;
use std::time::Duration;

use flynn_core::change::{Batch, Change, Expectation};
use flynn_core::noun::{Exit, Health, Job, JobState, JobStatus, NodeStatus, ObjectId, Stored};
use flynn_core::port::{LogLine, LogSink, LogStream, Store};
use flynn_core::{NodeId, Principal, Revision, StoreError, Timestamp, View};

use super::operation::chain;
use crate::logs::Logs;

/// So many reports are committed at once.
pub(super) const MOST_REPORTS: usize = 100;
/// A commit that takes longer is tried again.
const LIMIT: Duration = Duration::from_secs(30);
/// A view that lags longer is no harm: what is then reported twice is a conflict.
const LAG: Duration = Duration::from_secs(5);

/// What the store is told.
pub(super) enum Report {
    Job(Arc<Stored<Job>>, JobStatus),
    Node(NodeId, Revision, NodeStatus),
}

impl Report {
    /// What it is about.
    pub(super) fn subject(&self) -> ObjectId {
        match self {
            Self::Job(job, _) => job.id.into(),
            Self::Node(id, ..) => (*id).into(),
        }
    }

    /// Whether it says the same as another of the same version.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Job(job, status), Self::Job(same, before)) => {
                (job.id, job.status_version, &status.state) == (same.id, same.status_version, &before.state)
            }
            (Self::Node(id, version, status), Self::Node(same, before, said)) => {
                (id, version, status) == (same, before, said)
            }
            _ => false,
        }
    }

    fn add_to(&self, batch: Batch) -> Batch {
        match self {
            Self::Job(job, status) => batch
                .expecting(Expectation::Status(job.id.into(), job.status_version))
                .with(Change::report(job.id, status.clone())),
            Self::Node(id, version, status) => {
                batch.expecting(Expectation::Status((*id).into(), *version)).with(Change::report(*id, status.clone()))
            }
        }
    }

    /// A line about it in the log of the app.
    fn line(&self) -> Option<LogLine> {
        let Self::Job(job, status) = self else { return None };
        let said = describe(&job.status.state, &status.state)?;
        let text = format!("{} {said}", job.name());
        Some(LogLine { at: status.since, stream: LogStream::Platform(job.spec.app), text })
    }
}

/// A report that the store does not take as it is.
pub(super) struct Refused {
    pub(super) report: Report,
    /// Whether it may be that somebody else was first, of which the view only has to hear.
    pub(super) is_stale: bool,
    pub(super) problem: String,
}

/// What became of some reports.
#[derive(Default)]
pub(super) struct Committed {
    /// Those that need not be repeated: the next pass decides anew.
    pub(super) refused: Vec<Refused>,
    /// Why the rest was not committed, or maybe was.
    pub(super) problem: Option<String>,
}

/// Commits reports, and waits until the view has them. One that is refused holds up no other.
pub(super) async fn commit<S: Store>(
    store: &S,
    view: &View,
    logs: &Logs,
    node: NodeId,
    reports: Vec<Report>,
) -> Committed {
    let principal = Principal::Node(node);
    let mut committed = Committed::default();
    let whole = reports.iter().fold(Batch::new(principal), |batch, report| report.add_to(batch));
    let mut last = None;
    match attempt(store, whole).await {
        Ok(revision) => {
            reports.iter().filter_map(Report::line).for_each(|line| logs.emit(line));
            last = Some(revision);
        }
        Err(error) if is_passing(&error) => committed.problem = Some(chain(&error)),
        Err(error) if reports.len() == 1 => committed.refuse(reports, &error),
        Err(_) => {
            for report in reports {
                match attempt(store, report.add_to(Batch::new(principal))).await {
                    Ok(revision) => {
                        report.line().into_iter().for_each(|line| logs.emit(line));
                        last = Some(revision);
                    }
                    Err(error) if is_passing(&error) => {
                        committed.problem = Some(chain(&error));
                        break;
                    }
                    Err(error) => committed.refuse([report], &error),
                }
            }
        }
    }
    if let Some(revision) = last {
        let _ = tokio::time::timeout(LAG, view.wait_for(revision)).await;
    }
    committed
}

impl Committed {
    fn refuse(&mut self, reports: impl IntoIterator<Item = Report>, error: &StoreError) {
        let (is_stale, problem) = (is_stale(error), chain(error));
        self.refused.extend(reports.into_iter().map(|report| Refused { report, is_stale, problem: problem.clone() }));
    }
}

async fn attempt<S: Store>(store: &S, batch: Batch) -> Result<Revision, StoreError> {
    match tokio::time::timeout(LIMIT, store.commit(batch)).await {
        Ok(committed) => committed.map(|committed| committed.revision),
        Err(elapsed) => Err(StoreError::Unavailable { operation: "report", source: elapsed.into() }),
    }
}

/// Whether the same batch may be taken later.
fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { .. } | StoreError::Internal { .. })
}

/// Whether somebody else was first.
fn is_stale(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict { .. } | StoreError::NotFound { .. })
}

/// What a change of state means to the developer of an app.
fn describe(old: &JobState, new: &JobState) -> Option<String> {
    let health = |state: &JobState| match state {
        JobState::Up { health, .. } => Some(*health),
        _ => None,
    };
    match new {
        JobState::Up { health: Health::Unhealthy, .. } => Some("does not pass its health check".to_owned()),
        JobState::Up { .. } if health(old) == Some(Health::Unhealthy) => {
            Some("passes its health check again".to_owned())
        }
        JobState::Up { .. } if health(old).is_none() => Some("is up".to_owned()),
        JobState::Stopping => Some("is told to end".to_owned()),
        JobState::Exited(exit) => Some(match exit {
            Exit::Code(code) => format!("exited with code {code}"),
            Exit::Signal(signal) => format!("was ended by signal {signal}"),
            Exit::OutOfMemory => "was killed: it used more memory than it may".to_owned(),
            Exit::OutOfDisk { reason } => format!("was killed: {reason}"),
            Exit::NotStarted { reason } => format!("did not start: {reason}"),
        }),
        JobState::Lost { reason } => Some(format!("was lost: {reason}")),
        _ => None,
    }
}

/// When a job entered the state that is reported.
pub(super) fn since(state: &JobState, ended: Option<Timestamp>, now: Timestamp) -> Timestamp {
    match state {
        JobState::Exited(_) => ended.unwrap_or(now),
        _ => now,
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test")]

    use flynn_core::name::NodeName;
    use flynn_core::noun::{Liveness, Node, ProcessType};
    use flynn_core::{JobId, Scope, TeamId};

    use super::*;
    use crate::conformance::Cluster;
    use crate::logs::{LiveLogs, LogsOptions};
    use crate::shim::Files;

    struct Nowhere;

    impl LiveLogs for Nowhere {
        fn files(&self, _: JobId) -> Files {
            Files::new("/nonexistent".into())
        }
    }

    #[tokio::test]
    async fn what_is_refused_holds_up_no_other_report() {
        let cluster = Cluster::new().await;
        let ready = NodeStatus { liveness: Liveness::Ready, ..cluster.status() };
        cluster.commit([Change::report(cluster.node, ready)]).await;
        let other: NodeId = cluster.id();
        let node = Node::new(NodeName::new("n2").unwrap());
        cluster.commit([Change::create(other, TeamId::SYSTEM, node)]).await;
        let starting = JobStatus { state: JobState::Starting, since: Timestamp::EPOCH };
        let (mut reports, mut jobs) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let job = cluster.place(cluster.service(ProcessType::new(vec!["true".into()]))).await;
            reports.push(Report::Job(cluster.get(job).await.unwrap(), starting.clone()));
            jobs.push(job);
        }
        // Of one somebody else was first to say something, and one is not this node's to speak of.
        let lost = JobState::Lost { reason: "its node was lost".to_owned() };
        let status = JobStatus { state: lost.clone(), since: Timestamp::EPOCH };
        cluster.commit([Change::report(jobs[1], status)]).await;
        let version = cluster.get(other).await.unwrap().status_version;
        reports.insert(0, Report::Node(other, version, cluster.status()));

        let place = tempfile::TempDir::new().unwrap();
        let logs = Logs::open(LogsOptions::new(place.path().join("logs")), Arc::new(Nowhere)).unwrap();
        let (view, follower) = View::open(cluster.store.clone(), Scope::Node(cluster.node)).await.unwrap();
        let committed = tokio::select! {
            committed = commit(&*cluster.store, &view, &logs, cluster.node, reports) => committed,
            error = follower.run() => panic!("{error}"),
        };
        assert_eq!(committed.problem, None);
        let refused: Vec<_> =
            committed.refused.iter().map(|refused| (refused.report.subject(), refused.is_stale)).collect();
        assert_eq!(refused, [(other.into(), false), (jobs[1].into(), true)]);
        for (place, job) in jobs.iter().enumerate() {
            let expected = if place == 1 { &lost } else { &JobState::Starting };
            assert_eq!(&cluster.state(*job).await, expected);
        }
    }
}
