//! What a worker has to do, as a pure decision.

use std::collections::{BTreeMap, BTreeSet};

use flynn_core::noun::{Build, BuildIntent, BuildState, Objects};
use flynn_core::{AppId, BuildId, NodeId};

/// A build that this worker has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InHand {
    /// Its app.
    pub app: AppId,
    /// Whether it was told to stop.
    pub stopping: bool,
}

/// What is to be done next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Todo {
    /// Builds to begin, or to begin again after this worker's predecessor died.
    pub begin: Vec<BuildId>,
    /// Builds to stop, since they were cancelled or are not this node's any more.
    pub stop: Vec<BuildId>,
    /// Builds that were cancelled before they were begun.
    pub cancel: Vec<BuildId>,
}

/// What `node` has to do about the builds in `objects`, with those `in_hand` and at most `parallel` at a time.
///
/// Older builds come first. Builds of one app wait for each other.
pub fn pass(objects: &Objects, node: NodeId, in_hand: &BTreeMap<BuildId, InHand>, parallel: usize) -> Todo {
    let mut todo = Todo::default();
    let is_mine = |id: &BuildId| {
        let build = objects.get(*id)?;
        let is_placed = matches!(build.status.state, BuildState::Assigned | BuildState::Running);
        (build.spec.node == Some(node) && is_placed).then_some(build)
    };
    for (id, hand) in in_hand {
        let wanted = is_mine(id).is_some_and(|build| build.spec.desired == BuildIntent::Finish);
        if !wanted && !hand.stopping {
            todo.stop.push(*id);
        }
    }
    let mut apps: BTreeSet<_> = in_hand.values().map(|hand| hand.app).collect();
    let mut free = parallel.saturating_sub(in_hand.len());
    for build in objects.iter::<Build>() {
        if in_hand.contains_key(&build.id) || is_mine(&build.id).is_none() {
            continue;
        }
        match build.spec.desired {
            BuildIntent::Cancel => todo.cancel.push(build.id),
            BuildIntent::Finish if free > 0 && apps.insert(build.spec.app) => {
                free -= 1;
                todo.begin.push(build.id);
            }
            BuildIntent::Finish => {}
        }
    }
    todo
}
