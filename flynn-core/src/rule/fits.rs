use crate::noun::{Liveness, Node, Scheduling, Stored};
use crate::value::{Dimension, GpuRequest, Gpus, Resources};

/// Why a request does not fit on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The node is not there.
    #[error("the node is {}", liveness_word(*.0))]
    NotReady(Liveness),
    /// The node takes no work.
    #[error("the node is {}", scheduling_word(*.0))]
    Closed(Scheduling),
    /// The node has too little left.
    #[error("the node has {free} of {dimension} left and {asked} is asked for")]
    TooLittle {
        /// Of what.
        dimension: Dimension,
        /// What is left, in the unit of the dimension.
        free: u64,
        /// What is asked for.
        asked: u64,
    },
    /// Too few of the node's GPUs have enough left.
    #[error("the node has {free} GPUs with {millis} thousandths left and {asked} are asked for")]
    TooFewGpus {
        /// How many have enough.
        free: u16,
        /// How many are asked for.
        asked: u16,
        /// How many thousandths of each are asked for.
        millis: u16,
    },
}

/// What is left on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Room {
    /// Of its resources.
    pub resources: Resources,
    /// Of its GPUs.
    pub gpus: Gpus,
}

fn liveness_word(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Unseen => "not seen yet",
        Liveness::Ready => "ready",
        Liveness::Suspect => "suspected to be gone",
        Liveness::Lost => "lost",
    }
}

fn scheduling_word(scheduling: Scheduling) -> &'static str {
    match scheduling {
        Scheduling::Open => "open",
        Scheduling::Cordoned => "cordoned",
        Scheduling::Draining => "draining",
    }
}

/// Whether `node`, on which `load` is placed already, can take `request` too.
///
/// Planner and committer both call this: what was planned is judged by the same function when it is
/// applied. Free is `capacity − reserved − load`, each dimension by itself; a request of zero always fits.
///
/// # Errors
/// The first reason why not.
pub fn fits(node: &Stored<Node>, load: &Resources, request: &Resources) -> Result<(), Misfit> {
    takes_work(node.status.liveness, node.spec.scheduling)?;
    let resources = node.status.capacity.minus(node.spec.reserved).minus(*load);
    fits_into(&Room { resources, gpus: Gpus::NONE }, request, GpuRequest::NONE)
}

/// Whether a node that is like this takes work at all: the part of [`fits`] that does not ask for room.
///
/// # Errors
/// The first reason why not.
#[inline]
pub fn takes_work(liveness: Liveness, scheduling: Scheduling) -> Result<(), Misfit> {
    match (liveness, scheduling) {
        (Liveness::Ready, Scheduling::Open) => Ok(()),
        (Liveness::Ready, closed) => Err(Misfit::Closed(closed)),
        (away, _) => Err(Misfit::NotReady(away)),
    }
}

/// Whether `room` is enough for `request` and `gpus`, each dimension by itself: the part of [`fits`] that does not
/// ask whose room it is.
///
/// # Errors
/// The first reason why not.
#[inline]
pub fn fits_into(room: &Room, request: &Resources, gpus: GpuRequest) -> Result<(), Misfit> {
    for dimension in Dimension::ALL {
        let (free, asked) = (room.resources.get(dimension), request.get(dimension));
        if asked > free {
            return Err(Misfit::TooLittle { dimension, free, asked });
        }
    }
    if gpus.is_none() {
        return Ok(());
    }
    let free = room.gpus.with_at_least(gpus.millis);
    if free < gpus.count {
        return Err(Misfit::TooFewGpus { free, asked: gpus.count, millis: gpus.millis });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use crate::name::NodeName;
    use crate::noun::{NodeStatus, TeamId};
    use crate::revision::Revision;
    use crate::time::Timestamp;

    fn node(cpu: u64, memory: u64) -> Stored<Node> {
        let mut spec = Node::new(NodeName::new("n1").unwrap());
        spec.reserved = Resources { cpu_millis: 100, ..Resources::ZERO };
        let capacity = Resources { cpu_millis: cpu, memory_bytes: memory, ..Resources::ZERO };
        Stored {
            id: Id::NIL,
            team: TeamId::SYSTEM,
            spec,
            status: NodeStatus { liveness: Liveness::Ready, capacity, ..NodeStatus::default() },
            spec_version: Revision::ZERO,
            status_version: Revision::ZERO,
            created_at: Timestamp::EPOCH,
        }
    }

    fn request(cpu: u64, memory: u64) -> Resources {
        Resources { cpu_millis: cpu, memory_bytes: memory, ..Resources::ZERO }
    }

    #[test]
    fn a_request_fits_to_the_last_unit_and_not_one_more() {
        let node = node(1_100, 64);
        let load = request(400, 32);
        assert_eq!(fits(&node, &load, &request(600, 32)), Ok(()));
        assert_eq!(
            fits(&node, &load, &request(601, 32)),
            Err(Misfit::TooLittle { dimension: Dimension::Cpu, free: 600, asked: 601 })
        );
        assert_eq!(
            fits(&node, &load, &request(0, 33)),
            Err(Misfit::TooLittle { dimension: Dimension::Memory, free: 32, asked: 33 })
        );
    }

    #[test]
    fn an_overfull_node_takes_nothing_more_of_what_it_lacks() {
        let node = node(1_000, 64);
        assert_eq!(fits(&node, &request(5_000, 0), &request(0, 64)), Ok(()));
        assert!(fits(&node, &request(5_000, 0), &request(1, 0)).is_err());
    }

    #[test]
    fn gpus_are_counted_by_device_and_never_added_up() {
        let mut room = Room { resources: request(100, 1), gpus: Gpus::idle(2).unwrap() };
        assert_eq!(fits_into(&room, &request(100, 1), GpuRequest::whole(2)), Ok(()));
        room.gpus = room.gpus.take(room.gpus.tightest(GpuRequest::shared(1)).unwrap(), 1).unwrap();
        let short = |free, asked, millis| Err(Misfit::TooFewGpus { free, asked, millis });
        assert_eq!(fits_into(&room, &request(0, 0), GpuRequest::whole(2)), short(1, 2, 1_000));
        assert_eq!(fits_into(&room, &request(0, 0), GpuRequest { count: 2, millis: 999 }), Ok(()));
        assert_eq!(fits_into(&Room::default(), &request(0, 0), GpuRequest::shared(1)), short(0, 1, 1));
        assert_eq!(fits_into(&Room::default(), &request(0, 0), GpuRequest::NONE), Ok(()));
    }

    #[test]
    fn only_ready_open_nodes_take_work() {
        let mut closed = node(1_000, 64);
        closed.spec.scheduling = Scheduling::Draining;
        assert_eq!(fits(&closed, &Resources::ZERO, &Resources::ZERO), Err(Misfit::Closed(Scheduling::Draining)));
        let mut gone = node(1_000, 64);
        gone.status.liveness = Liveness::Suspect;
        assert_eq!(fits(&gone, &Resources::ZERO, &Resources::ZERO), Err(Misfit::NotReady(Liveness::Suspect)));
    }
}
