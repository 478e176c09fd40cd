//! The placement core: which node and which GPUs, and why not.
//!
//! Everything here is a function of values. A [`Cluster`] holds nodes in a seeded order and what is on them; a
//! [`Request`] is a job that needs a node; a [`Policy`] says how good a node is; a [`Planner`] puts the three together.
//!
//! ```
//! use std::sync::Arc;
//!
//! use flynn_core::name::NodeName;
//! use flynn_core::rule::Room;
//! use flynn_core::value::{GpuRequest, Gpus, Resources};
//! use flynn_core::{AppId, Ids, Timestamp};
//! use flynn_sched::placement::{BestFit, Cluster, Demand, Group, Host, Planner, Request, Yardstick};
//!
//! let mut ids = Ids::seeded(1);
//! let room = Room {
//!     resources: Resources { cpu_millis: 8_000, ..Resources::ZERO },
//!     gpus: Gpus::idle(2).unwrap_or_default(),
//! };
//! let hosts = [Host::new(ids.next(Timestamp::EPOCH), NodeName::new("n1")?, room)];
//! let cluster = Cluster::new(hosts, 7);
//! let best_fit = BestFit(Yardstick::of(&cluster));
//! let mut planner = Planner::new(cluster, Arc::new(best_fit));
//!
//! let group = Group { app: AppId::NIL, process: None };
//! let two_gpus = Request::new(group, Demand { gpus: GpuRequest::whole(2), ..Demand::default() });
//! assert!(planner.place(ids.next(Timestamp::EPOCH), &two_gpus).is_some());
//! assert!(planner.place(ids.next(Timestamp::EPOCH), &two_gpus).is_none());
//! assert_eq!(
//!     planner.explain(&two_gpus).to_string(),
//!     "no node fits: 1 of 1 is short of GPUs; nearest is n1, which has 0 of 2 whole GPUs; \
//!      it would be placed if n1 gets GPUs, or it asks for none"
//! );
//! # Ok::<(), flynn_core::name::NameError>(())
//! ```
//!
//! # Order
//!
//! Of the nodes against which nothing speaks, the one is taken that comes first by: the number of instances of the same
//! group with its value of the label that they are [spread](Spread) over; the number of them on the node, if the policy
//! [keeps apart](Policy::keeps_apart); the score of the policy and what wishes are worth; the order of the cluster.
//!
//! # Speed
//!
//! Jobs that ask for the same [`Demand`] share an order of nodes that is kept in a tournament tree. It remembers the
//! position in the cluster's log of changes up to which it has looked, so a decision costs what changed since the last
//! one alike, and hardly depends on the number of nodes. [`Planner::scan`] looks at every node and answers the same.

mod cluster;
mod constraint;
mod demand;
mod explain;
mod group;
mod index;
mod obstacle;
mod planner;
mod policy;
mod preempt;
mod site;
mod spreading;
mod stored;
mod tree;

pub use cluster::{Choice, Cluster, Slot};
pub use constraint::{Constraint, ConstraintError};
pub use demand::{Affinity, Demand, Preference, Priority, Request, Rule, Spread, Toward, Weight};
pub use explain::{Against, Explanation, NearMiss, Remedy};
pub use group::Group;
pub use obstacle::Obstacle;
pub use planner::{Everywhere, Planner};
pub use policy::{
    Asked, BestFit, DotProduct, Expected, Fragmentation, GpuClustering, GpuPacking, POINT, Policy, Random, Score,
    SpreadOut, Yardstick,
};
pub use preempt::Eviction;
pub use site::{Host, Resident, Site};
pub(crate) use stored::seat_of_build;
