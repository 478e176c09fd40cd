//! kill -9 of control plane, agent and router in the middle of things: everything converges, the app answers all the
//! time, no exit code and no line of a log is lost, and nothing is left.

mod moments;
mod points;
mod records;
mod visitor;
mod world;

use world::World;

const PROGRAMS: [&str; 3] = ["flynnd", "flynn-host", "flynn-router"];

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// `git push` of a change, with a build that runs commands.
    Push,
    /// A release of the image that is there, with other variables.
    Deploy,
    /// More instances and fewer.
    Scale,
    /// The end of an instance, which is replaced.
    Stop,
}

/// How much is to be tried, if somebody says so.
fn seeds() -> Option<u64> {
    std::env::var("FLYNN_SEEDS").ok().and_then(|seeds| seeds.parse().ok())
}

/// Whether this is a run of `cargo xtask test --long`, or is to try as much.
fn is_long() -> bool {
    seeds().is_some_and(|seeds| seeds >= 1_000)
}

/// Every program dies before and after everything it does during each of the operations, and then at some moments.
fn survived(operations: &[(Operation, u64)]) {
    let mut world = World::start(operations.iter().any(|(operation, _)| *operation == Operation::Push));
    for (operation, moments) in operations {
        points::killed_at_points(&mut world, *operation);
        moments::killed_at_moments(&mut world, *operation, *moments);
    }
    world.finish(operations.iter().map(|(operation, _)| *operation));
}

#[test]
fn a_push_survives_every_program() {
    survived(&[(Operation::Push, 5)]);
}

#[test]
fn a_deploy_survives_every_program() {
    survived(&[(Operation::Deploy, 8)]);
}

#[test]
fn scaling_and_stopping_survive_every_program() {
    survived(&[(Operation::Scale, 7), (Operation::Stop, 7)]);
}
