use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::id::Id;
use crate::name::{LabelKey, LabelValue, NodeName};
use crate::rule::{Claim, Footprint, Invalid, NounRules, Owner, check_resources, check_text};
use crate::value::Resources;

/// The id of a [`Node`].
pub type NodeId = Id<Node>;

/// A machine that runs jobs and builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique in the cluster.
    pub name: NodeName,
    /// What placement rules can ask for.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Kept back for the machine itself; jobs get the rest of its capacity.
    pub reserved: Resources,
    /// Whether it takes work.
    pub scheduling: Scheduling,
}

/// Whether a node takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduling {
    /// It does.
    Open,
    /// It keeps what it has and takes nothing more.
    Cordoned,
    /// What it has moves away.
    Draining,
}

/// What is known of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeStatus {
    /// Whether it is there.
    pub liveness: Liveness,
    /// What it has in all.
    pub capacity: Resources,
    /// Where other nodes and routers reach it.
    pub address: Option<IpAddr>,
    /// The version of its agent.
    pub version: String,
    /// Changes with every boot of the machine.
    pub boot: String,
}

/// Whether a node or router is there. Only changes of this are committed; each single heartbeat is
/// [`Presence`](crate::port::Presence).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Liveness {
    /// It has not been seen since it was added.
    #[default]
    Unseen,
    /// Its lease runs.
    Ready,
    /// Its lease ended a short time ago.
    Suspect,
    /// It is taken for gone: what it ran is replaced elsewhere.
    Lost,
}

impl Node {
    /// A node that takes work, without labels.
    pub fn new(name: NodeName) -> Self {
        Self { name, labels: BTreeMap::new(), reserved: Resources::ZERO, scheduling: Scheduling::Open }
    }
}

impl NounRules for Node {
    fn validate(&self) -> Result<(), Invalid> {
        if self.labels.len() > 100 {
            return Err(Invalid::new("labels", "at most 100 labels"));
        }
        Ok(())
    }

    fn owner(&self) -> Owner {
        Owner::Cluster
    }

    fn validate_report(&self, _: &NodeStatus, new: &NodeStatus) -> Result<(), Invalid> {
        check_resources("capacity", new.capacity)?;
        check_text("version", &new.version, 128)?;
        check_text("boot", &new.boot, 128)
    }

    fn footprint(&self, id: NodeId, _: &NodeStatus) -> Footprint {
        Footprint { node: Some(id), claims: vec![Claim::NodeName(self.name.clone())], ..Footprint::default() }
    }
}
