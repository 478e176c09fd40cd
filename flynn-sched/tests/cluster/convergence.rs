//! Whatever happens to a cluster, the controller brings it to what is wanted once it is left alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use crate::sim::{self, Behaviour, RouterMode, Sim};
use flynn_core::noun::{DeployIntent, Exit, Placement, Share, Strategy as Way};
use proptest::prelude::{Just, Strategy, prop_oneof};

#[derive(Debug, Clone)]
enum Event {
    Scale(u32, u32),
    Deploy(Behaviour, Way),
    DeployWithCommand(Behaviour, Way),
    Build,
    RunOnce,
    Place(Placement),
    Crash(usize),
    LoseNode(usize),
    ReturnNode(usize),
    Router(usize, bool, bool),
    Intend(DeployIntent),
    Restart,
    Wait(u32),
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        4 => Just(Behaviour::Good),
        1 => Just(Behaviour::Crash(1)),
        1 => Just(Behaviour::OutOfMemory),
        1 => Just(Behaviour::Hang),
        1 => Just(Behaviour::FailFirst(1)),
    ]
}

/// Rules that three nodes in two zones can keep.
fn placement() -> impl Strategy<Value = Placement> {
    let constraint = |text: &str| vec![text.parse().unwrap()];
    prop_oneof![
        Just(Placement::ANY),
        Just(Placement { constraints: constraint("zone = a"), ..Placement::ANY }),
        Just(Placement { constraints: constraint("zone in a, b"), most_per_node: Some(4), ..Placement::ANY }),
        Just(Placement { spread: Some("zone".parse().unwrap()), ..Placement::ANY }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let way = || {
        let batches = prop_oneof![Just(Share::Count(2)), Just(Share::Percent(25))];
        let batches = batches.prop_map(|size| Way::InBatches { size });
        prop_oneof![Just(Way::OneByOne), Just(Way::AllAtOnce), Just(Way::OneDownOneUp), batches]
    };
    let intent = prop_oneof![Just(DeployIntent::Proceed), Just(DeployIntent::Pause), Just(DeployIntent::Abort)];
    prop_oneof![
        3 => (0u32..5, 0u32..3).prop_map(|(web, worker)| Event::Scale(web, worker)),
        4 => (behaviour(), way()).prop_map(|(behaviour, way)| Event::Deploy(behaviour, way)),
        1 => (behaviour(), way()).prop_map(|(behaviour, way)| Event::DeployWithCommand(behaviour, way)),
        1 => Just(Event::Build),
        1 => Just(Event::RunOnce),
        1 => placement().prop_map(Event::Place),
        3 => (0usize..8).prop_map(Event::Crash),
        2 => (0usize..3).prop_map(Event::LoseNode),
        2 => (0usize..3).prop_map(Event::ReturnNode),
        2 => (0usize..2, proptest::bool::ANY, proptest::bool::ANY).prop_map(|(i, a, b)| Event::Router(i, a, b)),
        2 => intent.prop_map(Event::Intend),
        1 => Just(Event::Restart),
        6 => (1u32..40).prop_map(Event::Wait),
    ]
}

fn apply(sim: &mut Sim, event: &Event) {
    match event {
        Event::Scale(web, worker) => sim.scale(&[("web", *web), ("worker", *worker)]),
        Event::Deploy(behaviour, way) => drop(sim.deploy(*behaviour, way.clone())),
        Event::DeployWithCommand(behaviour, way) => {
            let _ = sim.deploy_processes(*behaviour, way.clone(), &["web", "worker", "release"]);
        }
        Event::Build => drop(sim.build()),
        Event::RunOnce => {
            if sim.serving().is_some() {
                sim.run_once();
            }
        }
        Event::Place(placement) => {
            if sim.formation().is_some() {
                sim.place("web", placement.clone());
            }
        }
        Event::Crash(index) => sim.crash(*index, Exit::Code(3)),
        Event::LoseNode(index) => sim.set_alive(*index, false),
        Event::ReturnNode(index) => sim.set_alive(*index, true),
        Event::Router(index, is_alive, is_prompt) => {
            let mode = match (is_alive, is_prompt) {
                (false, _) => RouterMode::Dead,
                (true, true) => RouterMode::Prompt,
                (true, false) => RouterMode::Stuck(sim.snapshot().revision),
            };
            sim.set_router(*index, mode);
        }
        Event::Intend(intent) => sim.intend(*intent),
        Event::Restart => sim.restart(),
        Event::Wait(ticks) => sim.ticks(*ticks),
    }
}

/// Every wish is fulfilled.
fn check_converged(sim: &Sim) {
    assert!(sim.deployments().iter().all(|deployment| deployment.status.state.is_end()), "{}", sim.describe());
    let Some(serving) = sim.serving() else {
        assert!(sim.services().is_empty(), "{}", sim.describe());
        return;
    };
    let formation = sim.formation().unwrap();
    for name in ["web", "worker"] {
        let wanted = formation.spec.processes.get(&sim::process(name)).map_or(0, |scale| scale.count);
        let expected: Vec<_> = (0..wanted).map(|_| serving).collect();
        let healthy: Vec<_> = sim.healthy(name).into_iter().map(|(release, _)| release).collect();
        assert_eq!(healthy, expected, "{name}\n{}", sim.describe());
        let all: Vec<_> = sim.services().into_iter().filter(|(_, process)| process == name).collect();
        assert_eq!(all.len(), expected.len(), "{name}\n{}", sim.describe());
        assert!(all.iter().all(|(release, _)| *release == serving), "{name}\n{}", sim.describe());
    }
}

#[test]
fn a_cluster_left_alone_comes_to_what_is_wanted() {
    let case = proptest::collection::vec(event(), 1..25);
    sim::seeds::for_each_seed("convergence", 60, &case, |seed, events| {
        let mut sim = Sim::new(seed, 3, 2);
        sim.races = 3;
        sim.in_zones(&[("n1", "a"), ("n2", "a"), ("n3", "b")]);
        for event in &events {
            apply(&mut sim, event);
            let ticks = sim.draw(3);
            sim.ticks(u32::try_from(ticks).unwrap());
        }
        sim.races = 0;
        sim.heal();
        // Deployed with a count of 0, a release that cannot come up serves; it would be restarted for ever.
        if let Some(serving) = sim.serving() {
            sim.behaviours.insert(serving, Behaviour::Good);
        }
        sim.intend(DeployIntent::Pause);
        sim.ticks(2);
        sim.intend(DeployIntent::Proceed);
        sim.settle();
        check_converged(&sim);
    });
}
