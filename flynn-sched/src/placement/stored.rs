//! The cluster that a store describes.

use flynn_core::noun::{Build, Job, Node, Objects, Stored};
use flynn_core::rule::Room;
use flynn_core::value::{Devices, GpuRequest, Gpus, Resources};
use flynn_core::{BuildId, JobId, NodeId};

use super::cluster::Cluster;
use super::{Group, Host, Priority, Resident};

impl Host {
    /// The node of a store. It has no GPUs, since nothing reports them.
    pub fn of(node: &Stored<Node>) -> Self {
        let resources = node.status.capacity.minus(node.spec.reserved);
        Self {
            id: node.id,
            name: node.spec.name.clone(),
            labels: node.spec.labels.clone(),
            usable: Room { resources, gpus: Gpus::NONE },
            liveness: node.status.liveness,
            scheduling: node.spec.scheduling,
        }
    }
}

impl Resident {
    /// Something that asks for no GPU.
    fn plain(job: JobId, group: Group, resources: Resources) -> Self {
        let (gpus, devices, priority) = (GpuRequest::NONE, Devices::NONE, Priority::default());
        Self { job, group, resources, gpus, devices, priority }
    }
}

impl Cluster {
    /// The nodes in `objects` and what is on them: the jobs and builds that have a node and have not ended.
    pub fn of(objects: &Objects, seed: u64) -> Self {
        let mut cluster = Self::new(objects.iter::<Node>().map(|node| Host::of(node)), seed);
        for job in objects.iter::<Job>().filter(|job| !job.status.state.is_end()) {
            cluster
                .seat_stored(job.spec.node, || Resident::plain(job.id, Group::of_job(&job.spec), job.spec.resources));
        }
        for build in objects.iter::<Build>().filter(|build| !build.status.state.is_end()) {
            cluster.seat_stored(build.spec.node, || {
                Resident::plain(seat_of_build(build.id), Group::of_build(&build.spec), build.spec.resources)
            });
        }
        cluster
    }

    fn seat_stored(&mut self, node: Option<NodeId>, resident: impl FnOnce() -> Resident) {
        if let Some(slot) = node.and_then(|node| self.slot(node)) {
            self.seat(slot, resident());
        }
    }
}

/// The id under which a build is on a node, beside jobs. No job has it, since ids are unique over all kinds.
pub(crate) fn seat_of_build(build: BuildId) -> JobId {
    JobId::from_uuid(build.uuid())
}
