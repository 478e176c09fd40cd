use std::sync::Arc;

use async_trait::async_trait;
use flynn_build::git::{Push, PushHandler, PushOutput, Rejection, Released};
use flynn_core::noun::{App, Build, BuildId, BuildIntent, BuildState};
use flynn_core::port::{Blobs, NodeLink, Snapshot, Store};
use flynn_core::server::api::Edge;
use flynn_core::value::{Digest, Resources};
use flynn_core::{
    AppId, Batch, Change, Clock, Conflict, Ids, Principal, Revision, Scope, StoreError, SystemClock, View,
};

use super::build_log::BuildLog;
use super::rollout::Rollout;
use crate::disk;

/// What a build may use where the operator says nothing else. It takes whatever processor time apps leave, which is kept in the control group of builds.
pub(crate) const BUILD: Resources =
    Resources { cpu_millis: 0, memory_bytes: 2 << 30, disk_bytes: 4 << 30, pids: 4_096 };

/// The memory for a build where the operator says nothing: less than [`BUILD`] has on a small machine, where apps have
/// to run beside it.
pub(crate) fn usual_memory() -> u64 {
    let machine = rustix::system::sysinfo();
    let total = machine.totalram.saturating_mul(machine.mem_unit.into());
    (total / 2).min(BUILD.memory_bytes)
}

/// How often a build is numbered anew when others number theirs at the same time.
const NUMBERINGS: usize = 20;

/// The build of a source.
pub(super) fn build_of(app: AppId, number: u64, source: Digest, resources: Resources) -> Build {
    let desired = BuildIntent::Finish;
    Build { app, number, source, commit: None, branch: None, resources, node: None, desired }
}

/// Deploys what is pushed, by asking the store for a build and telling the pusher what becomes of it.
pub(crate) struct Deployer<S> {
    pub(crate) store: Arc<S>,
    pub(crate) view: View,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) link: Arc<dyn NodeLink>,
    /// What a build may use.
    pub(crate) resources: Resources,
    /// Where apps are reached from outside, if that is known.
    pub(crate) edge: Option<Edge>,
}

#[async_trait]
impl<S: Store + 'static> PushHandler for Deployer<S> {
    async fn receive(&self, push: Push, output: &dyn PushOutput) -> Result<Released, Rejection> {
        let (commit, branch) = (push.commit.as_str().to_owned(), push.branch.as_str().to_owned());
        let source =
            push.source.store(&*self.blobs).await.map_err(|error| rejected("the source was not stored", error))?;
        drop(push.source);
        let (build, number, revision) = self.ask(push.app, push.principal, source.digest, commit, branch).await?;
        output.line(&format!("Build {number}")).await;
        let mut log = BuildLog::new(self.link.clone(), &self.view, push.app, build, output);
        let built = tokio::select! {
            built = self.build(build, number, revision, output) => built,
            never = log.follow() => match never {},
        };
        log.finish().await;
        built?;
        let (release, summary) = Rollout::of(build, push.app).follow(&self.view, output).await?;
        let objects = self.view.snapshot().objects;
        let url = self.edge.as_ref().and_then(|edge| edge.url(push.app, &objects));
        let address = match (summary.serves, url) {
            (true, Some(url)) => format!(": {url}"),
            (true, None) => String::new(),
            (false, _) => String::from(", and no process of it answers requests"),
        };
        Ok(Released { summary: format!("v{release} is live{address}") })
    }
}

impl<S: Store> Deployer<S> {
    /// Commits the next build of an app.
    async fn ask(
        &self,
        app: AppId,
        principal: Principal,
        source: Digest,
        commit: String,
        branch: String,
    ) -> Result<(BuildId, u64, Revision), Rejection> {
        const FAILED: &str = "the build was not taken in";
        for _ in 0..NUMBERINGS {
            let objects = self.store.snapshot(Scope::All).await.map_err(|error| rejected(FAILED, error))?.objects;
            let team = objects.get::<App>(app).ok_or_else(|| Rejection::new("the app is gone"))?.team;
            let of_app = objects.iter::<Build>().filter(|build| build.spec.app == app);
            let number = of_app.map(|build| build.spec.number).max().unwrap_or(0) + 1;
            let id: BuildId = Ids::from_entropy().next(SystemClock.now());
            let (commit, branch) = (Some(commit.clone()), Some(branch.clone()));
            let build = Build { commit, branch, ..build_of(app, number, source, self.resources) };
            let batch = Batch::new(principal).having_received(source).with(Change::create(id, team, build));
            match self.store.commit(batch).await {
                Ok(committed) => return Ok((id, number, committed.revision)),
                Err(StoreError::Conflict { conflict: Conflict::Claimed { .. }, .. }) => {}
                Err(error) => return Err(rejected(FAILED, error)),
            }
        }
        Err(Rejection::new(format!("{FAILED}: others build this app all the time, push again")))
    }

    /// Follows a build to its end, which has to be a good one.
    async fn build(
        &self,
        id: BuildId,
        number: u64,
        revision: Revision,
        output: &dyn PushOutput,
    ) -> Result<(), Rejection> {
        let mut changes = self.view.changes();
        let mut snapshot = wait_for(&self.view, revision).await?;
        let mut said = String::new();
        loop {
            let build = snapshot.objects.get(id).ok_or_else(|| Rejection::new("the build was removed"))?;
            match &build.status.state {
                BuildState::Pending { reason } => {
                    if build.status != Default::default() && *reason != said {
                        said.clone_from(reason);
                        output.line(&format!("The build waits: {reason}")).await;
                    }
                }
                BuildState::Assigned | BuildState::Running => {}
                BuildState::Succeeded(_) => return Ok(()),
                BuildState::Failed { step, reason } => {
                    return Err(Rejection::new(format!("build {number} failed: {step}: {reason}")));
                }
                BuildState::Cancelled => return Err(Rejection::new(format!("build {number} was cancelled"))),
                BuildState::Lost { reason } => {
                    return Err(Rejection::new(format!("build {number} was lost: {reason}: push again")));
                }
            }
            changes.changed().await.map_err(|_| closed())?;
            snapshot = self.view.snapshot();
        }
    }
}

pub(super) async fn wait_for(view: &View, revision: Revision) -> Result<Snapshot, Rejection> {
    view.wait_for(revision).await.map_err(|_| closed())
}

pub(super) fn closed() -> Rejection {
    Rejection::new("the control plane is ending; what was begun goes on without this push")
}

/// A rejection for an error with all its causes.
fn rejected(what: &str, error: impl Into<anyhow::Error>) -> Rejection {
    let error = error.into();
    match disk::full(&error) {
        Some(advice) => Rejection::new(format!("{what}: {advice}")),
        None => Rejection::new(format!("{what}: {error:#}")),
    }
}
