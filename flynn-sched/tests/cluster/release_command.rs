//! The release command runs once, before any instance, and fails the deployment.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::noun::{
    DeployIntent, DeployPolicy, DeploymentId, DeploymentState, Exit, Job, JobState, OnFailure, ReleaseId, Stored,
    Strategy,
};

use crate::sim::{Behaviour, Sim, is_release_command};

const MINUTE: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["web", "worker", "release"];

fn serving(seed: u64) -> (Sim, ReleaseId) {
    let mut sim = Sim::new(seed, 3, 2);
    sim.scale(&[("web", 2)]);
    sim.deploy(Behaviour::Good, Strategy::AllAtOnce).unwrap();
    sim.settle();
    let release = sim.serving().unwrap();
    (sim, release)
}

fn state(sim: &Sim, id: DeploymentId) -> DeploymentState {
    sim.get(id).unwrap().status.state.clone()
}

fn commands(sim: &Sim) -> BTreeSet<JobId> {
    sim.jobs().iter().filter(|job| is_release_command(job)).map(|job| job.id).collect()
}

/// The release command of this deployment.
fn command(sim: &Sim, id: DeploymentId) -> Option<Arc<Stored<Job>>> {
    sim.get(JobId::from_uuid(id.uuid()))
}

fn has_ended(sim: &Sim, id: DeploymentId) -> bool {
    command(sim, id).is_none_or(|job| job.status.state.is_end())
}

fn instances_of(sim: &Sim, release: ReleaseId) -> usize {
    sim.jobs().iter().filter(|job| job.spec.release == release && !is_release_command(job)).count()
}

fn failure(sim: &Sim, id: DeploymentId) -> String {
    match state(sim, id) {
        DeploymentState::Failed { reason } => reason,
        other => panic!("{other:?}: {}", sim.describe()),
    }
}

/// Also with another controller before every pass, and with agents that act between a pass and its commit.
#[test]
fn it_runs_once_and_before_any_instance() {
    for seed in 0..8 {
        let (mut sim, _) = serving(seed);
        (sim.restarts, sim.races) = (seed % 2 == 0, 4);
        let id = sim.deploy_processes(Behaviour::Good, Strategy::OneByOne, &NAMES).unwrap();
        let new = sim.get(id).unwrap().spec.to;
        let mut seen = BTreeSet::new();
        while !state(&sim, id).is_end() {
            sim.tick();
            seen.extend(commands(&sim));
            let is_prepared = sim.get(id).unwrap().status.prepared;
            assert!(is_prepared || instances_of(&sim, new) == 0, "seed {seed}: {}", sim.describe());
        }
        assert_eq!((state(&sim, id), seen.len()), (DeploymentState::Done, 1), "seed {seed}");
        sim.ticks(200);
        assert_eq!(commands(&sim).len(), 0, "it is filed away");
        assert_eq!(sim.healthy("web").len(), 2);
    }
}

#[test]
fn its_failure_is_that_of_the_deployment_and_starts_no_instance() {
    let (mut sim, old) = serving(1);
    let id = sim.deploy_processes(Behaviour::Crash(3), Strategy::AllAtOnce, &NAMES).unwrap();
    let new = sim.get(id).unwrap().spec.to;
    while !state(&sim, id).is_end() {
        sim.tick();
        assert_eq!(instances_of(&sim, new), 0);
    }
    assert_eq!(failure(&sim, id), "the release command exited with code 3; see `flynn logs`");
    assert_eq!(sim.serving(), Some(old));
    sim.settle();
    assert_eq!(sim.healthy("web").len(), 2);
}

#[test]
fn a_command_that_is_lost_hangs_or_finds_no_room_fails_the_deployment() {
    let (mut sim, _) = serving(2);
    let id = sim.deploy_processes(Behaviour::Hang, Strategy::OneByOne, &NAMES).unwrap();
    sim.until(2 * MINUTE, "it is given up", |sim| state(sim, id).is_end());
    assert_eq!(failure(&sim, id), "the release command did not end within 60 s; see `flynn logs`");
    sim.settle();
    assert!(has_ended(&sim, id), "{}", sim.describe());

    let id = sim.deploy_processes(Behaviour::Hang, Strategy::OneByOne, &NAMES).unwrap();
    let home = |sim: &Sim| command(sim, id).and_then(|job| job.spec.node);
    sim.until(MINUTE, "it has a node", |sim| home(sim).is_some());
    let home = home(&sim).unwrap();
    let index = sim.nodes.keys().position(|node| *node == home).unwrap();
    sim.set_alive(index, false);
    sim.until(MINUTE, "it is lost", |sim| state(sim, id).is_end());
    assert!(failure(&sim, id).starts_with("the release command was lost: node "), "{}", failure(&sim, id));
    sim.heal();
    sim.settle();

    for name in ["n1", "n2", "n3"] {
        sim.set_capacity(name, crate::sim::room_for(1));
    }
    sim.scale(&[("web", 3)]);
    sim.settle();
    let id = sim.deploy_processes(Behaviour::Good, Strategy::OneDownOneUp, &NAMES).unwrap();
    sim.until(MINUTE, "it is not placed", |sim| state(sim, id).is_end());
    let reason = failure(&sim, id);
    assert!(reason.starts_with("the release command could not be placed within 10 s: no node fits"), "{reason}");
    sim.settle();
    assert_eq!((command(&sim, id), sim.healthy("web").len()), (None, 3));
}

#[test]
fn a_pause_holds_after_it_and_a_failure_that_pauses_runs_it_again() {
    let (mut sim, _) = serving(3);
    let id = sim.deploy_processes(Behaviour::Good, Strategy::OneByOne, &NAMES).unwrap();
    let new = sim.get(id).unwrap().spec.to;
    sim.until(MINUTE, "it runs", |sim| !commands(sim).is_empty());
    sim.intend(DeployIntent::Pause);
    sim.ticks(300);
    let ended: Vec<JobState> =
        sim.jobs().iter().filter(|job| is_release_command(job)).map(|job| job.status.state.clone()).collect();
    assert_eq!(ended, [JobState::Exited(Exit::Code(0))], "it is kept until it was seen");
    assert_eq!(instances_of(&sim, new), 0);
    sim.intend(DeployIntent::Proceed);
    sim.settle();
    assert_eq!(state(&sim, id), DeploymentState::Done);

    let bad = sim.release(Behaviour::Crash(1), &NAMES);
    let policy = DeployPolicy { on_failure: OnFailure::Pause, ..DeployPolicy::default() };
    let id = sim.deploy_release(bad, Strategy::OneByOne, policy);
    sim.until(MINUTE, "it pauses", |sim| matches!(state(sim, id), DeploymentState::Paused { .. }));
    sim.behaviours.insert(bad, Behaviour::Good);
    sim.ticks(20);
    sim.intend(DeployIntent::Proceed);
    sim.settle();
    assert_eq!((state(&sim, id), sim.serving()), (DeploymentState::Done, Some(bad)));
}

#[test]
fn an_aborted_deployment_ends_it() {
    let (mut sim, old) = serving(4);
    let id = sim.deploy_processes(Behaviour::Hang, Strategy::OneByOne, &NAMES).unwrap();
    sim.until(MINUTE, "it runs", |sim| !commands(sim).is_empty());
    sim.ticks(4);
    sim.intend(DeployIntent::Abort);
    sim.settle();
    assert_eq!(failure(&sim, id), "it was aborted");
    assert!(has_ended(&sim, id) && sim.serving() == Some(old), "{}", sim.describe());
}
