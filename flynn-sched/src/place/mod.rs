//! Which node takes what.

mod refusal;
mod spread;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use flynn_core::name::ProcessName;
use flynn_core::noun::{Build, BuildState, Job, Node, Objects, Purpose, Stored};
use flynn_core::rule::fits;
use flynn_core::value::Resources;
use flynn_core::{AppId, NodeId};

pub(crate) use refusal::Amount;
pub use refusal::{Refusal, Rejected, Rejection};
pub use spread::Spread;

/// Chooses nodes for what waits. An implementation is a pure function of its arguments.
///
/// The answer has one entry for each request, in their order. A later request sees the earlier ones of
/// the same call as placed. Only a node that [`NodeView::admits`] the request may be chosen: it asks the
/// same [`fits`] by which the store judges the commit. Equal choices are decided by `seed`, in an order
/// that stays the same for as long as the seed does.
pub trait Placer: Send + Sync + fmt::Debug {
    /// A node for each request, or why each node was refused.
    fn place(&self, cluster: &ClusterView, requests: &[Request], seed: u64) -> Vec<Result<NodeId, Refusal>>;
}

/// Something that needs a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it is an instance of.
    pub group: Group,
    /// What it asks for.
    pub resources: Resources,
    /// The nodes that hold its volumes. With more than one it fits nowhere.
    pub volumes: BTreeSet<NodeId>,
}

/// What counts as "the same" when instances are spread. Builds and one-off jobs have no process type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The app.
    pub app: AppId,
    /// The process type.
    pub process: Option<ProcessName>,
}

/// All nodes and what is on them.
#[derive(Debug, Clone, Default)]
pub struct ClusterView {
    /// The nodes, by id.
    pub nodes: BTreeMap<NodeId, NodeView>,
}

/// A node and what is on it.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub node: Arc<Stored<Node>>,
    /// The sum of what its jobs and builds asked for, those that have not ended.
    pub load: Resources,
    /// How many instances of each group it has.
    pub instances: BTreeMap<Group, u32>,
}

impl ClusterView {
    /// The cluster as `objects` describe it.
    pub fn of(objects: &Objects) -> Self {
        let view = |node: &Arc<Stored<Node>>| NodeView {
            node: node.clone(),
            load: Resources::ZERO,
            instances: BTreeMap::new(),
        };
        let mut cluster = Self { nodes: objects.iter::<Node>().map(|node| (node.id, view(node))).collect() };
        for job in objects.iter::<Job>().filter(|job| !job.status.state.is_end()) {
            if let Some(node) = job.spec.node.and_then(|id| cluster.nodes.get_mut(&id)) {
                node.take(&Group::of_job(&job.spec), job.spec.resources);
            }
        }
        for build in objects.iter::<Build>().filter(|build| !build.status.state.is_end()) {
            debug_assert!(build.spec.node.is_none() || !matches!(build.status.state, BuildState::Pending { .. }));
            if let Some(node) = build.spec.node.and_then(|id| cluster.nodes.get_mut(&id)) {
                node.take(&Group::of_build(&build.spec), build.spec.resources);
            }
        }
        cluster
    }
}

impl NodeView {
    /// Whether the node can take `request` beside what it has.
    ///
    /// # Errors
    /// Why not.
    pub fn admits(&self, request: &Request) -> Result<(), Rejection> {
        if request.volumes.iter().any(|holder| *holder != self.node.id) {
            return Err(Rejection::VolumeElsewhere);
        }
        fits(&self.node, &self.load, &request.resources).map_err(Rejection::Misfit)
    }

    /// Counts something as placed here.
    pub fn take(&mut self, group: &Group, resources: Resources) {
        self.load = self.load.plus(resources);
        *self.instances.entry(group.clone()).or_insert(0) += 1;
    }
}

impl Group {
    /// The group of a job.
    pub fn of_job(job: &Job) -> Self {
        let process = match &job.purpose {
            Purpose::Service { process, .. } => Some(process.clone()),
            Purpose::OneOff { .. } => None,
        };
        Self { app: job.app, process }
    }

    /// The group of a build.
    pub fn of_build(build: &Build) -> Self {
        Self { app: build.app, process: None }
    }
}
