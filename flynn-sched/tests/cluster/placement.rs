//! What a placer chooses is lawful, explained and repeatable.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use flynn_core::name::{NodeName, ProcessName};
use flynn_core::noun::{Liveness, Node, NodeStatus, Scheduling, Stored};
use flynn_core::value::Resources;
use flynn_core::{AppId, Id, Ids, NodeId, Revision, TeamId, Timestamp};
use flynn_sched::place::{ClusterView, Group, NodeView, Placer, Request, Spread};
use proptest::prelude::{Strategy, any};

use crate::sim::seeds::for_each_seed;

fn resources(cpu: u64, memory: u64) -> Resources {
    Resources { cpu_millis: cpu * 100, memory_bytes: memory << 20, ..Resources::ZERO }
}

fn id<N>(number: u64) -> Id<N> {
    Ids::seeded(number).next(Timestamp::EPOCH)
}

fn node(number: u64, cpu: u64, memory: u64, liveness: Liveness, scheduling: Scheduling) -> NodeView {
    let mut spec = Node::new(NodeName::new(&format!("n{number}")).unwrap());
    spec.scheduling = scheduling;
    let stored = Stored {
        id: id(number),
        team: TeamId::SYSTEM,
        spec,
        status: NodeStatus { liveness, capacity: resources(cpu, memory), ..NodeStatus::default() },
        spec_version: Revision::ZERO,
        status_version: Revision::ZERO,
        created_at: Timestamp::EPOCH,
    };
    NodeView { node: Arc::new(stored), load: Resources::ZERO, instances: Default::default() }
}

fn request(app: u64, process: &str, resources: Resources, volume: Option<u64>) -> Request {
    let app: AppId = id(app);
    let group = Group { app, process: Some(ProcessName::new(process).unwrap()) };
    Request { group, resources, volumes: volume.map(id).into_iter().collect::<BTreeSet<NodeId>>() }
}

fn view(nodes: impl IntoIterator<Item = NodeView>) -> ClusterView {
    ClusterView { nodes: nodes.into_iter().map(|view| (view.node.id, view)).collect() }
}

fn clusters() -> impl Strategy<Value = ClusterView> {
    let one = (0u64..20, 0u64..20, 0u8..6, 0u8..6);
    proptest::collection::vec(one, 0..8).prop_map(|nodes| {
        view(nodes.into_iter().enumerate().map(|(number, (cpu, memory, liveness, scheduling))| {
            let liveness = if liveness == 0 { Liveness::Suspect } else { Liveness::Ready };
            let scheduling = if scheduling == 0 { Scheduling::Cordoned } else { Scheduling::Open };
            node(number as u64, cpu, memory, liveness, scheduling)
        }))
    })
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let one = (0u64..3, any::<bool>(), 0u64..6, 0u64..6, proptest::option::weighted(0.1, 0u64..8));
    let one = one.prop_map(|(app, is_web, cpu, memory, volume)| {
        request(app, if is_web { "web" } else { "worker" }, resources(cpu, memory), volume)
    });
    proptest::collection::vec(one, 0..30)
}

#[test]
fn every_choice_is_lawful_and_every_refusal_is_true() {
    let case = (clusters(), requests(), any::<u64>());
    for_each_seed("placement", 200, &case, |_, (cluster, requests, seed)| check(&cluster, &requests, seed));
}

fn check(cluster: &ClusterView, requests: &[Request], seed: u64) {
    let answers = Spread.place(cluster, requests, seed);
    assert_eq!(answers, Spread.place(cluster, requests, seed));
    assert_eq!(answers.len(), requests.len());
    let mut state = cluster.clone();
    for (request, answer) in requests.iter().zip(&answers) {
        match answer {
            Ok(chosen) => {
                let alike = |view: &NodeView| view.instances.get(&request.group).copied().unwrap_or(0);
                let fewest = state.nodes.values().filter(|view| view.admits(request).is_ok()).map(alike).min();
                let view = state.nodes.get_mut(chosen).unwrap();
                assert_eq!(view.admits(request), Ok(()));
                assert_eq!(Some(alike(view)), fewest);
                view.take(&request.group, request.resources);
            }
            Err(refusal) => {
                assert!(state.nodes.values().all(|view| view.admits(request).is_err()));
                let named: BTreeSet<NodeId> = refusal.rejected.iter().map(|rejected| rejected.node).collect();
                assert_eq!(named, cluster.nodes.keys().copied().collect::<BTreeSet<_>>());
            }
        }
    }
}

#[test]
fn equal_nodes_are_taken_in_an_order_that_only_the_seed_decides() {
    let cluster = view((0..6).map(|number| node(number, 10, 10, Liveness::Ready, Scheduling::Open)));
    let first = |seed| Spread.place(&cluster, &[request(1, "web", resources(1, 1), None)], seed)[0].clone().unwrap();
    let chosen: BTreeSet<NodeId> = (0..100).map(first).collect();
    assert_eq!(chosen.len(), 6, "some node is never the first choice");
    let six: Vec<Request> = (0..6).map(|_| request(1, "web", resources(1, 1), None)).collect();
    let nodes: BTreeSet<NodeId> = Spread.place(&cluster, &six, 4).into_iter().map(Result::unwrap).collect();
    assert_eq!(nodes.len(), 6);
}

#[test]
fn with_equally_many_alike_the_least_used_node_is_taken() {
    let mut cluster = view([
        node(1, 10, 10, Liveness::Ready, Scheduling::Open),
        node(2, 10, 10, Liveness::Ready, Scheduling::Open),
        node(3, 20, 10, Liveness::Ready, Scheduling::Open),
    ]);
    let other = request(7, "web", resources(0, 0), None).group;
    cluster.nodes.get_mut(&id(1)).unwrap().take(&other, resources(5, 1));
    cluster.nodes.get_mut(&id(2)).unwrap().take(&other, resources(1, 6));
    cluster.nodes.get_mut(&id(3)).unwrap().take(&other, resources(8, 1));
    for seed in 0..20 {
        let chosen = Spread.place(&cluster, &[request(1, "web", resources(1, 0), None)], seed)[0].clone();
        assert_eq!(chosen, Ok(id(3)), "45 % of its processors, against 60 % of processors and of memory");
    }
}
