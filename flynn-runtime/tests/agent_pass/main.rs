//! The decisions of an agent under any order of events.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test")]

mod world;

use std::time::Duration;

use flynn_core::Timestamp;
use flynn_core::noun::{Desired, Exit, JobState};
use flynn_core::port::{ContainerState, Signal};
use flynn_runtime::agent::pass::Act;
use proptest::prelude::*;

use crate::world::{Step, World, out_of_disk, step};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_events_converges(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        world.settle();
    }
}

fn settled_after(steps: impl IntoIterator<Item = Step>) -> World {
    let mut world = World::new();
    for step in steps {
        world.apply(step);
    }
    world
}

fn told(world: &World, number: usize) -> JobState {
    world.stored(world.jobs[number].unwrap()).unwrap().status.state.clone()
}

/// The walk of one job, pass by pass.
fn through(number: usize) -> impl Iterator<Item = Step> {
    let round = [Step::Pass, Step::Finish(number), Step::Commit];
    [Step::Pass, Step::Commit, Step::Place(number)].into_iter().chain(round.into_iter().cycle().take(12))
}

#[test]
fn a_preparation_is_given_up_when_its_job_is_told_to_end() {
    let steps = [Step::Pass, Step::Commit, Step::Place(2), Step::Pass, Step::Commit, Step::Pass];
    let mut world = settled_after(steps);
    let job = world.jobs[2].unwrap();
    assert_eq!(world.under_way.get(&job), Some(&Act::Prepare(job)));
    assert_eq!(world.plan.acts, []);
    world.apply(Step::Tell(2, Desired::Down));
    world.apply(Step::Pass);
    assert_eq!(world.plan.acts, [Act::GiveUp(job)]);
    world.apply(Step::Pass);
    world.apply(Step::Commit);
    assert!(matches!(told(&world, 2), JobState::Exited(Exit::NotStarted { .. })), "{:?}", told(&world, 2));
    world.apply(Step::Pass);
    assert_eq!(world.plan.acts, [Act::Clear(job)]);
}

#[test]
fn an_attached_run_waits_a_minute_for_its_caller() {
    let mut world = settled_after(through(0));
    assert_eq!(told(&world, 0), JobState::Starting);
    assert_eq!(world.observed.containers.values().collect::<Vec<_>>(), [&ContainerState::Created]);
    world.apply(Step::Wait(59_000));
    world.apply(Step::Pass);
    assert!(world.under_way.is_empty() && world.reports.is_empty());
    assert!(world.plan.again.is_some());
    world.apply(Step::Wait(2_000));
    world.apply(Step::Pass);
    world.apply(Step::Commit);
    let JobState::Exited(Exit::NotStarted { reason }) = told(&world, 0) else { panic!("{:?}", told(&world, 0)) };
    assert!(reason.contains("nobody attached"), "{reason}");
}

#[test]
fn what_cannot_be_done_for_a_minute_is_given_up_with_its_reason() {
    let mut world = settled_after([Step::Pass, Step::Commit, Step::Place(3)]);
    for _ in 0..40 {
        for step in
            [Step::Pass, Step::Fail { job: 3, lasting: false, had_effect: false }, Step::Commit, Step::Wait(2_500)]
        {
            world.apply(step);
        }
    }
    let exit = Exit::NotStarted { reason: "it failed".to_owned() };
    assert_eq!(told(&world, 3), JobState::Exited(exit));
    assert!(world.now.since(Timestamp::from_millis(1_000_000)) >= Duration::from_secs(60));
}

#[test]
fn what_can_never_work_is_given_up_at_once() {
    let fail = Step::Fail { job: 3, lasting: true, had_effect: false };
    let world = settled_after([Step::Pass, Step::Commit, Step::Place(3), Step::Pass, fail, Step::Pass, Step::Commit]);
    let exit = Exit::NotStarted { reason: "it failed".to_owned() };
    assert_eq!(told(&world, 3), JobState::Exited(exit));
}

#[test]
fn who_writes_more_than_granted_is_killed_at_once_and_told_why() {
    for desired in [Desired::Up, Desired::Drain, Desired::Down] {
        let mut world = settled_after(through(2).chain([Step::Fill(2), Step::Tell(2, desired), Step::Pass]));
        let job = world.jobs[2].unwrap();
        assert_eq!(world.under_way.get(&job), Some(&Act::Signal(job, Signal::Kill)));
        for step in [Step::Finish(2), Step::Pass, Step::Commit] {
            world.apply(step);
        }
        assert_eq!(told(&world, 2), JobState::Exited(out_of_disk()));
        world.settle();
    }
    // What ended by itself before it was killed says so.
    let steps = through(2).chain([Step::Fill(2), Step::Exit(2, 1), Step::Pass, Step::Commit]);
    assert_eq!(told(&settled_after(steps), 2), JobState::Exited(Exit::Code(1)));
}

#[test]
fn a_boot_loses_what_ran_and_then_the_node_is_reported() {
    let mut world = settled_after(through(3).chain([Step::Reboot, Step::Pass]));
    assert!(matches!(world.reports.as_slice(), [Act::Report(_, JobState::Lost { .. })]), "{:?}", world.reports);
    world.apply(Step::Commit);
    world.apply(Step::Pass);
    assert!(matches!(world.reports.as_slice(), [Act::ReportNode(_)]), "{:?}", world.reports);
}
