//! The decision what to do next.

use std::collections::{BTreeMap, BTreeSet};

use flynn_build::worker::{InHand, pass};
use flynn_core::noun::{Build, BuildIntent, BuildState, BuildStatus, Object, Objects, Stored, TeamId};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, BuildId, Ids, NodeId, Revision, Timestamp};
use proptest::prelude::*;

fn build(id: BuildId, app: AppId, node: Option<NodeId>, state: BuildState, desired: BuildIntent) -> Object {
    let source = Digest::from_bytes([1; 32]);
    let spec = Build { app, number: 1, source, commit: None, branch: None, resources: Resources::ZERO, node, desired };
    let status = BuildStatus { state, since: Timestamp::EPOCH };
    let (spec_version, status_version) = (Revision::ZERO, Revision::ZERO);
    Stored { id, team: TeamId::NIL, spec, status, spec_version, status_version, created_at: Timestamp::EPOCH }.into()
}

fn state() -> impl Strategy<Value = BuildState> {
    proptest::sample::select(vec![
        BuildState::Assigned,
        BuildState::Running,
        BuildState::Cancelled,
        BuildState::Lost { reason: String::new() },
        BuildState::Pending { reason: String::new() },
    ])
}

proptest! {
    /// Whatever there is: what is begun is this node's, wanted, and within bounds; what is not wanted ends.
    #[test]
    fn work_is_taken_up_within_bounds(
        builds in proptest::collection::vec((0..4_usize, 0..3_usize, state(), any::<bool>(), 0..4_usize), 0..20),
        parallel in 1..5_usize,
    ) {
        let mut ids = Ids::seeded(1);
        let apps: Vec<AppId> = (0..4).map(|_| ids.next(Timestamp::EPOCH)).collect();
        let nodes: Vec<NodeId> = (0..2).map(|_| ids.next(Timestamp::EPOCH)).collect();
        let mut objects = Objects::default();
        let mut in_hand = BTreeMap::new();
        for (app, node, state, finish, hand) in builds {
            let id = ids.next(Timestamp::EPOCH);
            let desired = if finish { BuildIntent::Finish } else { BuildIntent::Cancel };
            objects.insert(build(id, apps[app], nodes.get(node).copied(), state, desired));
            let is_free = !in_hand.values().any(|hand: &InHand| hand.app == apps[app]);
            if hand == 0 && in_hand.len() < parallel && is_free {
                in_hand.insert(id, InHand { app: apps[app], stopping: false });
            }
        }
        let todo = pass(&objects, nodes[0], &in_hand, parallel);
        prop_assert!(in_hand.len() + todo.begin.len() <= parallel);
        let mut busy: BTreeSet<_> = in_hand.values().map(|hand| hand.app).collect();
        for id in &todo.begin {
            let build = objects.get(*id).unwrap();
            prop_assert!(!in_hand.contains_key(id));
            prop_assert_eq!(build.spec.node, Some(nodes[0]));
            prop_assert_eq!(build.spec.desired, BuildIntent::Finish);
            prop_assert!(matches!(build.status.state, BuildState::Assigned | BuildState::Running));
            prop_assert!(busy.insert(build.spec.app), "two builds of one app");
        }
        for build in objects.iter::<Build>() {
            let is_open = build.spec.node == Some(nodes[0]) && matches!(build.status.state, BuildState::Assigned | BuildState::Running);
            let is_wanted = is_open && build.spec.desired == BuildIntent::Finish;
            let taken = in_hand.contains_key(&build.id);
            prop_assert_eq!(todo.stop.contains(&build.id), taken && (!is_wanted));
            prop_assert_eq!(todo.cancel.contains(&build.id), !taken && is_open && !is_wanted);
            // Nothing waits that could begin.
            let has_room = in_hand.len() + todo.begin.len() < parallel && !busy.contains(&build.spec.app);
            prop_assert!(!(is_wanted && !taken && has_room));
        }
        let told: BTreeMap<_, _> = in_hand.iter().map(|(id, hand)| {
            (*id, InHand { stopping: todo.stop.contains(id), ..*hand })
        }).collect();
        prop_assert!(pass(&objects, nodes[0], &told, parallel).stop.is_empty(), "what was told to stop is not told again");
    }
}
