use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::noun::NodeStatus;
use flynn_core::port::Presence;
use flynn_core::{Clock, NodeId};

use super::workplace::Workplace;
use crate::logs::Logs;

/// What an agent is told at its start.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The node it is the agent of.
    pub node: NodeId,
    /// The node as it is to be known. Its liveness is not used.
    pub status: NodeStatus,
    /// The time between two heartbeats.
    pub beat: Duration,
    /// How long a heartbeat holds.
    pub lease: Duration,
    /// The longest time between two passes.
    pub poll: Duration,
    /// How many jobs are prepared at the same time.
    pub preparations: usize,
    /// The time between two measurements of what jobs have written.
    pub measure: Duration,
}

impl AgentOptions {
    /// The usual times: a heartbeat every 2 seconds that holds for 6, a pass at least every 5 seconds; four
    /// jobs prepared at a time; what jobs write is measured every 5 seconds.
    pub fn new(node: NodeId, status: NodeStatus) -> Self {
        let (beat, lease, poll) = (Duration::from_secs(2), Duration::from_secs(6), Duration::from_secs(5));
        Self { node, status, beat, lease, poll, preparations: 4, measure: Duration::from_secs(5) }
    }
}

/// What an agent works with.
pub struct AgentParts<S, R> {
    /// The store its node is in, as far as the node may read it.
    pub store: Arc<S>,
    /// Where it says that it is there.
    pub presence: Arc<dyn Presence>,
    /// The containers of this node. Nobody else creates or removes any in it.
    pub runtime: Arc<R>,
    /// What they are made from.
    pub workplace: Arc<dyn Workplace>,
    /// The logs of this node.
    pub logs: Arc<Logs>,
    /// The node's clock.
    pub clock: Arc<dyn Clock>,
}

impl<S, R> fmt::Debug for AgentParts<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentParts").field("logs", &self.logs).finish_non_exhaustive()
    }
}

impl<S, R> Clone for AgentParts<S, R> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            presence: self.presence.clone(),
            runtime: self.runtime.clone(),
            workplace: self.workplace.clone(),
            logs: self.logs.clone(),
            clock: self.clock.clone(),
        }
    }
}
