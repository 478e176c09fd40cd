//! An instance gets its signal only after routers have stopped sending to it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::time::Duration;

use flynn_core::noun::{Desired, Health, Job, JobState, Purpose, Stored, Strategy};
use flynn_core::{Change, Principal};

use crate::sim::{Behaviour, RouterMode, Sim};

fn serving(routers: usize) -> Sim {
    let mut sim = Sim::new(1, 2, routers);
    sim.scale(&[("web", 3), ("worker", 1)]);
    sim.deploy(Behaviour::Good, Strategy::AllAtOnce).unwrap();
    sim.settle();
    sim
}

fn number(job: &Stored<Job>) -> u32 {
    match job.spec.purpose {
        Purpose::Service { instance, .. } => instance,
        Purpose::OneOff { .. } => 0,
    }
}

fn with_desired(sim: &Sim, desired: Desired) -> Vec<u32> {
    sim.jobs().iter().filter(|job| job.spec.desired == desired).map(|job| number(job)).collect()
}

/// How long a drain takes with routers in these modes.
fn drain_time(modes: &[RouterMode]) -> Duration {
    let mut sim = serving(modes.len());
    for (index, mode) in modes.iter().enumerate() {
        sim.set_router(index, *mode);
    }
    sim.ticks(60);
    sim.scale(&[("web", 2), ("worker", 1)]);
    sim.control();
    let began = sim.now();
    assert!(with_desired(&sim, Desired::Down).is_empty(), "one step instead of two");
    assert_eq!(with_desired(&sim, Desired::Drain), [3]);
    sim.until(Duration::from_secs(30), "it is told to end", |sim| with_desired(sim, Desired::Drain).is_empty());
    let took = sim.now().since(began);
    sim.settle();
    assert_eq!(sim.healthy("web").len(), 2);
    took
}

#[test]
fn draining_ends_with_the_last_acknowledgement_or_after_its_time() {
    let stuck = RouterMode::Stuck(flynn_core::Revision::new(1));
    assert!(drain_time(&[RouterMode::Prompt, RouterMode::Prompt]) <= Duration::from_secs(1));
    let late = drain_time(&[RouterMode::Prompt, stuck]);
    assert!((10_000..11_000).contains(&late.as_millis()), "{late:?}");
    assert!(
        drain_time(&[RouterMode::Prompt, RouterMode::Dead]) <= Duration::from_secs(1),
        "a lost router is waited for"
    );
}

#[test]
fn without_a_live_router_or_a_port_there_is_nothing_to_drain() {
    let mut sim = serving(0);
    sim.scale(&[("web", 2), ("worker", 1)]);
    sim.control();
    assert_eq!((with_desired(&sim, Desired::Drain), with_desired(&sim, Desired::Down)), (vec![], vec![3]));
    let mut sim = serving(2);
    sim.scale(&[("web", 3), ("worker", 0)]);
    sim.control();
    assert_eq!((with_desired(&sim, Desired::Drain), with_desired(&sim, Desired::Down)), (vec![], vec![1]));
}

#[test]
fn a_router_that_was_lost_a_moment_ago_is_waited_for() {
    let mut sim = serving(1);
    sim.set_router(0, RouterMode::Dead);
    sim.ticks(8);
    sim.scale(&[("web", 2), ("worker", 1)]);
    sim.control();
    assert_eq!(with_desired(&sim, Desired::Drain), [3]);
    sim.ticks(4);
    assert_eq!(with_desired(&sim, Desired::Drain), [3]);
    sim.settle();
    assert_eq!(sim.healthy("web").len(), 2);
}

#[test]
fn one_that_fails_its_check_goes_before_those_with_higher_numbers() {
    let mut sim = serving(1);
    let is_second = |job: &Stored<Job>| number(job) == 2;
    let second = sim.jobs().into_iter().find(|job| is_second(job)).unwrap();
    let state = JobState::Up { address: None, health: Health::Unhealthy };
    sim.report(second.spec.node.unwrap(), second.id, state);
    sim.scale(&[("web", 2), ("worker", 1)]);
    sim.control();
    assert_eq!(with_desired(&sim, Desired::Drain), [2]);
}

#[test]
fn those_that_do_not_serve_go_first_and_then_the_highest_numbers() {
    let mut sim = serving(1);
    sim.scale(&[("web", 5), ("worker", 1)]);
    sim.nodes.values_mut().for_each(|agent| agent.speed = 0);
    sim.ticks(3);
    assert_eq!(sim.healthy("web").len(), 3);
    sim.scale(&[("web", 2), ("worker", 1)]);
    sim.control();
    let stopped = |job: &Stored<Job>| job.spec.desired != Desired::Up;
    let mut going: Vec<u32> = sim.jobs().iter().filter(|job| stopped(job)).map(|job| number(job)).collect();
    going.sort_unstable();
    assert_eq!(going, [3, 4, 5]);
    let starting = sim.jobs().into_iter().filter(|job| !matches!(job.status.state, JobState::Up { .. }));
    assert!(starting.into_iter().all(|job| job.spec.desired == Desired::Down), "what never served need not drain");
}

/// Tells instances as `flynn restart` does.
fn replace(sim: &mut Sim, process: &str, numbers: &[u32]) {
    let is_meant = |job: &Stored<Job>| {
        matches!(&job.spec.purpose, Purpose::Service { process: own, .. } if own.as_str() == process)
            && job.spec.desired == Desired::Up
            && numbers.contains(&number(job))
    };
    let told: Vec<Change> = (sim.jobs().iter().filter(|job| is_meant(job)))
        .map(|job| Change::update(job.id, Job { desired: Desired::Replace, ..job.spec.clone() }))
        .collect();
    assert_eq!(told.len(), numbers.len());
    sim.commit(Principal::System, told);
}

#[test]
fn what_is_to_be_replaced_serves_until_others_do() {
    let mut sim = serving(1);
    let old: Vec<_> = sim.healthy("web");
    replace(&mut sim, "web", &[1, 3]);
    for _ in 0..200 {
        sim.tick();
        let serving = |job: &&Stored<Job>| {
            job.spec.desired < Desired::Drain
                && matches!(job.status.state, JobState::Up { health: Health::Healthy, .. })
        };
        let jobs = sim.jobs();
        let webs = jobs.iter().map(|job| &**job).filter(|job| job.spec.workload.process.port.is_some());
        let count = webs.filter(serving).count();
        assert!(count >= 3, "only {count} serve");
    }
    assert!(with_desired(&sim, Desired::Replace).is_empty());
    let new = sim.healthy("web");
    assert_eq!((new.len(), new.iter().filter(|job| old.contains(job)).count()), (3, 1), "{old:?} {new:?}");
}

#[test]
fn what_is_to_be_replaced_stays_while_nothing_else_can_serve() {
    let mut sim = serving(1);
    sim.nodes.values_mut().for_each(|agent| agent.speed = 0);
    replace(&mut sim, "web", &[1, 2, 3]);
    sim.ticks(100);
    assert_eq!(with_desired(&sim, Desired::Replace).len(), 3);
    sim.nodes.values_mut().for_each(|agent| agent.speed = 4);
    sim.until(Duration::from_secs(60), "all are replaced", |sim| with_desired(sim, Desired::Replace).is_empty());
    // Asked for less, the old go without successors.
    let mut sim = serving(1);
    sim.nodes.values_mut().for_each(|agent| agent.speed = 0);
    replace(&mut sim, "web", &[2]);
    sim.scale(&[("web", 2), ("worker", 1)]);
    sim.ticks(2);
    assert!(with_desired(&sim, Desired::Replace).is_empty());
}
