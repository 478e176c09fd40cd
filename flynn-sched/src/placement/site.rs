use std::collections::BTreeMap;

use flynn_core::name::{LabelKey, LabelValue, NodeName};
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::rule::{Room, takes_work};
use flynn_core::value::{Devices, GpuRequest, MOST_GPUS, Resources};
use flynn_core::{JobId, NodeId};

use super::{Group, Priority};

/// A node as it comes to a [`Cluster`](super::Cluster): what it is and what jobs may use of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The node.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Its labels.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// What jobs may use of it in all.
    pub usable: Room,
    /// Whether it is there.
    pub liveness: Liveness,
    /// Whether it takes work.
    pub scheduling: Scheduling,
}

impl Host {
    /// A node that is there, takes work, and has no labels.
    pub fn new(id: NodeId, name: NodeName, usable: Room) -> Self {
        let (liveness, scheduling) = (Liveness::Ready, Scheduling::Open);
        Self { id, name, labels: BTreeMap::new(), usable, liveness, scheduling }
    }
}

/// A node and what is on it.
#[derive(Debug, Clone)]
pub struct Site {
    pub(super) host: Host,
    /// What the jobs on it asked for together. It can be more than is usable, since a node can shrink.
    pub(super) load: Resources,
    pub(super) free: Room,
    pub(super) residents: Vec<Resident>,
    pub(super) gpu_tenants: [u16; MOST_GPUS + 1],
    /// Nodes with the same labels have the same.
    pub(super) class: u32,
    /// The position in the log of changes of its latest one.
    pub(super) changed: u64,
}

/// A job, or a build, on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resident {
    /// The job.
    pub job: JobId,
    /// What it is an instance of.
    pub group: Group,
    /// What it takes.
    pub resources: Resources,
    /// What it takes of each of its GPUs.
    pub gpus: GpuRequest,
    /// Its GPUs.
    pub devices: Devices,
    /// Whom it has to make room for.
    pub priority: Priority,
}

impl Site {
    /// The node.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What is free.
    pub fn free(&self) -> &Room {
        &self.free
    }

    /// The jobs on it.
    pub fn residents(&self) -> &[Resident] {
        &self.residents
    }

    /// Whether it is there and takes work.
    pub fn is_open(&self) -> bool {
        takes_work(self.host.liveness, self.host.scheduling).is_ok()
    }

    /// Free is what is usable less the load, as the store counts it.
    pub(super) fn set_load(&mut self, load: Resources) {
        self.load = load;
        self.free.resources = self.host.usable.resources.minus(load);
    }

    /// What would have to leave before anything is free, where the node has shrunk.
    pub(super) fn excess(&self) -> Resources {
        self.load.minus(self.host.usable.resources)
    }

    /// How many of its jobs have GPUs in the way of `request`: a part of one, or this number of whole ones.
    pub fn gpu_tenants_like(&self, request: GpuRequest) -> u16 {
        gpu_class(request).map_or(0, |class| self.gpu_tenants[class])
    }

    /// In how many different ways its jobs have GPUs.
    pub fn gpu_ways(&self) -> usize {
        self.gpu_tenants.iter().filter(|tenants| **tenants > 0).count()
    }
}

/// 0 for a part of one GPU, else the number of GPUs.
pub(super) fn gpu_class(request: GpuRequest) -> Option<usize> {
    match request {
        _ if request.is_none() => None,
        _ if request.is_shared() => Some(0),
        _ => Some(usize::from(request.count).min(MOST_GPUS)),
    }
}
