//! What is chosen on the cluster of a store is lawful by the store's own rule, explained and repeatable.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flynn_core::name::{NodeName, ProcessName};
use flynn_core::noun::{
    Build, BuildIntent, BuildState, BuildStatus, Exit, Job, JobState, Liveness, Node, NodeStatus, Noun, Object,
    Objects, Placement, Scheduling, Stored, Strategy as Way,
};
use flynn_core::rule::fits;
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, Id, Ids, NodeId, Revision, TeamId, Timestamp};
use flynn_sched::placement::{Cluster, Demand, Group, Planner, Request, SpreadOut};
use proptest::prelude::{Strategy, any};

use crate::sim::seeds::for_each_seed;
use crate::sim::{Behaviour, Sim};

fn resources(cpu: u64, memory: u64) -> Resources {
    Resources { cpu_millis: cpu * 100, memory_bytes: memory << 20, ..Resources::ZERO }
}

fn id<N>(number: u64) -> Id<N> {
    Ids::seeded(number).next(Timestamp::EPOCH)
}

fn stored<N: Noun>(number: u64, spec: N, status: N::Status) -> Stored<N> {
    let (spec_version, status_version) = (Revision::ZERO, Revision::ZERO);
    Stored {
        id: id(number),
        team: TeamId::SYSTEM,
        spec,
        status,
        spec_version,
        status_version,
        created_at: Timestamp::EPOCH,
    }
}

fn node(number: u64, cpu: u64, memory: u64, liveness: Liveness, scheduling: Scheduling) -> Object {
    let spec = Node { scheduling, ..Node::new(NodeName::new(&format!("n{number}")).unwrap()) };
    let status = NodeStatus { liveness, capacity: resources(cpu, memory), ..NodeStatus::default() };
    stored(number, spec, status).into()
}

/// A build that runs on a node.
fn build(number: u64, node: u64, resources: Resources) -> Object {
    let spec = Build {
        app: id(900),
        number,
        source: Digest::from_bytes([2; 32]),
        commit: None,
        branch: None,
        resources,
        node: Some(id(node)),
        desired: BuildIntent::Finish,
    };
    stored(1_000 + number, spec, BuildStatus { state: BuildState::Running, since: Timestamp::EPOCH }).into()
}

fn objects(all: impl IntoIterator<Item = Object>) -> Objects {
    let mut objects = Objects::default();
    all.into_iter().for_each(|object| drop(objects.insert(object)));
    objects
}

fn request(app: u64, process: &str, resources: Resources, volume: Option<u64>) -> Request {
    let app: AppId = id(app);
    let group = Group { app, process: Some(ProcessName::new(process).unwrap()) };
    let volumes = volume.map(id).into_iter().collect();
    Request { volumes, ..Request::new(group, Demand { resources, ..Demand::default() }) }
}

fn planner(objects: &Objects, seed: u64) -> Planner {
    Planner::new(Cluster::of(objects, seed), Arc::new(SpreadOut))
}

fn place(planner: &mut Planner, job: u64, request: &Request) -> Option<NodeId> {
    let choice = planner.place(id(10_000 + job), request)?;
    Some(planner.cluster().site(choice.slot).host().id)
}

/// Nodes, of which some are away or closed, and some are fuller than they are large.
fn clusters() -> impl Strategy<Value = Objects> {
    let one = (0u64..20, 0u64..20, 0u8..6, 0u8..6, proptest::option::weighted(0.3, (0u64..24, 0u64..24)));
    proptest::collection::vec(one, 0..8).prop_map(|nodes| {
        objects((1..).zip(nodes).flat_map(|(number, (cpu, memory, liveness, scheduling, load))| {
            let liveness = if liveness == 0 { Liveness::Suspect } else { Liveness::Ready };
            let scheduling = if scheduling == 0 { Scheduling::Cordoned } else { Scheduling::Open };
            let load = load.map(|(cpu, memory)| build(number, number, resources(cpu, memory)));
            std::iter::once(node(number, cpu, memory, liveness, scheduling)).chain(load)
        }))
    })
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let one = (0u64..3, any::<bool>(), 0u64..6, 0u64..6, proptest::option::weighted(0.1, 1u64..9));
    let one = one.prop_map(|(app, is_web, cpu, memory, volume)| {
        request(900 + app, if is_web { "web" } else { "worker" }, resources(cpu, memory), volume)
    });
    proptest::collection::vec(one, 0..30)
}

#[test]
fn every_choice_is_lawful_and_every_refusal_is_true() {
    let case = (clusters(), requests(), any::<u64>());
    for_each_seed("placement", 200, &case, |_, (cluster, requests, seed)| check(&cluster, &requests, seed));
}

fn check(objects: &Objects, requests: &[Request], seed: u64) {
    let (mut planner, mut again) = (planner(objects, seed), planner(objects, seed));
    let mut loads: BTreeMap<NodeId, Resources> = BTreeMap::new();
    for build in objects.iter::<Build>() {
        loads.insert(build.spec.node.unwrap(), build.spec.resources);
    }
    let mut alike: BTreeMap<(NodeId, Group), u32> = BTreeMap::new();
    for (number, request) in (0..).zip(requests) {
        let admits = |node: &Stored<Node>| {
            let load = loads.get(&node.id).copied().unwrap_or_default();
            let is_home = request.volumes.iter().all(|holder| *holder == node.id);
            is_home && fits(node, &load, &request.demand.resources).is_ok()
        };
        let open: BTreeSet<NodeId> = objects.iter::<Node>().filter(|node| admits(node)).map(|node| node.id).collect();
        let number_on = |node: NodeId| alike.get(&(node, request.group.clone())).copied().unwrap_or(0);
        let fewest = open.iter().map(|node| number_on(*node)).min();
        let explanation = planner.explain(request);
        assert_eq!((explanation.open, explanation.nodes), (open.len(), objects.count::<Node>()));
        let chosen = place(&mut planner, number, request);
        assert_eq!(chosen, place(&mut again, number, request));
        assert_eq!(chosen.is_some(), !open.is_empty());
        if let Some(node) = chosen {
            assert!(open.contains(&node));
            assert_eq!(Some(number_on(node)), fewest);
            let load = loads.entry(node).or_default();
            *load = load.plus(request.demand.resources);
            *alike.entry((node, request.group.clone())).or_default() += 1;
        }
    }
}

#[test]
fn equal_nodes_are_taken_in_an_order_that_only_the_seed_decides() {
    let cluster = objects((1..=6).map(|number| node(number, 10, 10, Liveness::Ready, Scheduling::Open)));
    let web = request(900, "web", resources(1, 1), None);
    let first = |seed| place(&mut planner(&cluster, seed), 0, &web).unwrap();
    let chosen: BTreeSet<NodeId> = (0..100).map(first).collect();
    assert_eq!(chosen.len(), 6, "some node is never the first choice");
    let mut planner = planner(&cluster, 4);
    let nodes: BTreeSet<NodeId> = (0..6).map(|number| place(&mut planner, number, &web).unwrap()).collect();
    assert_eq!(nodes.len(), 6);
}

#[test]
fn with_equally_many_alike_the_least_used_node_is_taken() {
    let ready = |number, cpu| node(number, cpu, 10, Liveness::Ready, Scheduling::Open);
    let loads = [(1, resources(5, 1)), (2, resources(1, 6)), (3, resources(8, 1))];
    let loads = loads.map(|(node, load)| build(node, node, load));
    let cluster = objects([ready(1, 10), ready(2, 10), ready(3, 20)].into_iter().chain(loads));
    for seed in 0..20 {
        let chosen = place(&mut planner(&cluster, seed), 0, &request(901, "web", resources(1, 0), None));
        assert_eq!(chosen, Some(id(3)), "45 % of its processors, against 60 % of processors and of memory");
    }
}

fn on_nodes(sim: &Sim) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for job in sim.jobs() {
        let node = job.spec.node.map(|node| sim.get(node).unwrap().spec.name.to_string());
        *counts.entry(node.unwrap_or_default()).or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.map(|(node, count)| (node.to_owned(), count)).into()
}

fn reasons(sim: &Sim) -> BTreeSet<String> {
    let reason = |job: &Stored<Job>| match &job.status.state {
        JobState::Pending { reason } => Some(reason.clone()),
        _ => None,
    };
    sim.jobs().iter().filter_map(|job| reason(job)).collect()
}

#[test]
fn the_formation_says_where_instances_may_be() {
    let mut sim = Sim::new(1, 3, 1);
    sim.in_zones(&[("n1", "a"), ("n2", "a"), ("n3", "b")]);
    sim.scale(&[("web", 4)]);
    let asks = |text: &str| Placement { constraints: vec![text.parse().unwrap()], ..Placement::ANY };
    sim.place("web", asks("zone = a"));
    sim.deploy(Behaviour::Good, Way::AllAtOnce).unwrap();
    sim.settle();
    assert_eq!(on_nodes(&sim), counts([("n1", 2), ("n2", 2)]));
    sim.place("web", asks("zone != a"));
    sim.settle();
    assert_eq!(on_nodes(&sim), counts([("n1", 2), ("n2", 2)]), "what runs stays");
    sim.crash(0, Exit::Code(1));
    sim.crash(0, Exit::Code(1));
    sim.settle();
    assert_eq!(on_nodes(&sim)["n3"], 2, "what is started follows");
    sim.place("web", Placement { most_per_node: Some(2), ..asks("zone = b") });
    sim.crash(0, Exit::Code(1));
    sim.crash(0, Exit::Code(1));
    sim.settle();
    let expect = "no node fits: 2 of 3 are not `zone = b`, 1 of 3 is at 2 instances, the most for a node; it would be \
                  placed if `zone = b` is dropped or holds for n";
    let reason = reasons(&sim).pop_first().unwrap();
    assert!(reason.starts_with(expect), "{reason}");
    assert!(reason.ends_with(", or if 3 instances are allowed on a node"), "{reason}");
    sim.place("web", Placement::ANY);
    sim.settle();
    assert_eq!(sim.healthy("web").len(), 4, "what waits follows too");
}

#[test]
fn instances_are_even_over_the_values_of_a_label() {
    let mut sim = Sim::new(2, 5, 1);
    sim.in_zones(&[("n1", "a"), ("n2", "b"), ("n3", "b"), ("n4", "b")]);
    sim.scale(&[("web", 4)]);
    sim.place("web", Placement { spread: Some("zone".parse().unwrap()), ..Placement::ANY });
    sim.deploy(Behaviour::Good, Way::AllAtOnce).unwrap();
    sim.settle();
    let on = on_nodes(&sim);
    assert_eq!((on.get("n1"), on.get("n5")), (Some(&2), None), "{on:?}");
}
