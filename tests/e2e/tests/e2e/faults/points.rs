//! Deaths before and after everything that a program does to the world.

use std::collections::BTreeSet;

use flynn_instance::crash::CrashPoint::{self, After, Before};
use flynn_instance::crash::Effect::{self, *};

use super::world::World;
use super::{Operation, PROGRAMS, is_long};

/// What the programs do during an operation, in about this order.
struct Steps {
    flynnd: &'static [&'static [Effect]],
    host: &'static [&'static [Effect]],
    router: &'static [Effect],
    /// Of the agent's, what is tried in a long run only: each pair of its deaths takes another operation.
    host_long: &'static [&'static [Effect]],
}

const ROUTER: &[Effect] = &[ChangeTaken, Acknowledge];
const BUILD: &[Effect] = &[BlobPut, BuildCreate, BuildPlace, BuildRun, BuildEnd, ReleaseCreate];
const BUILD_ON_NODE: &[Effect] = &[BuildRun, SandboxCreate, SandboxStart, SandboxRemove, BlobPut, BuildEnd];
const BEGIN: &[Effect] = &[JobCreate, JobPlace, JobStart, JobUp];
const BEGIN_ON_NODE: &[Effect] = &[JobStart, WorkplacePrepare, ContainerCreate, ContainerStart, JobUp];
/// Of an instance that the router sends to.
const REPLACE: &[Effect] = &[JobDrain, JobDown];
const END: &[Effect] = &[JobStopping, JobEnd];
const END_ON_NODE: &[Effect] = &[JobStopping, ContainerSignal, JobEnd, ContainerRemove, WorkplaceRelease];

const fn steps(operation: Operation) -> Steps {
    match operation {
        Operation::Push => Steps {
            flynnd: &[BUILD, BEGIN, REPLACE, END, &[DeploymentEnd]],
            host: &[BUILD_ON_NODE],
            router: ROUTER,
            host_long: &[BEGIN_ON_NODE, END_ON_NODE],
        },
        Operation::Deploy => Steps {
            flynnd: &[BEGIN, REPLACE, END, &[DeploymentEnd]],
            host: &[BEGIN_ON_NODE],
            router: ROUTER,
            host_long: &[END_ON_NODE],
        },
        Operation::Scale => Steps {
            flynnd: &[&[FormationChange], BEGIN, &[JobDown], END],
            host: &[BEGIN_ON_NODE],
            router: ROUTER,
            host_long: &[END_ON_NODE],
        },
        Operation::Stop => {
            Steps { flynnd: &[END, BEGIN], host: &[END_ON_NODE], router: ROUTER, host_long: &[BEGIN_ON_NODE] }
        }
    }
}

/// Repeats `operation` until every program has died before and after each of its effects.
pub(super) fn killed_at_points(world: &mut World, operation: Operation) {
    let Steps { flynnd, host, router, host_long } = steps(operation);
    let (flynnd, mut host) = (flynnd.concat(), host.concat());
    if is_long() {
        host.extend(host_long.concat());
    }
    let points = |effects: &[Effect]| -> Vec<CrashPoint> {
        let sides = effects.iter().flat_map(|effect| [Before(*effect), After(*effect)]);
        // What follows on a change has its own points.
        sides.filter(|point| *point != After(ChangeTaken)).collect()
    };
    world.arm("flynnd", &points(&flynnd));
    world.arm("flynn-router", &points(router));
    // An agent that dies too often in a row is not heard of, and its node is lost.
    let host = points(&host);
    let mut host = host.chunks(2);
    // A death may cut the operation short, and is then followed by another try.
    for _ in 0..2 * (flynnd.len() + host.len() + router.len()) + 4 {
        if world.armed("flynn-host").is_empty() {
            world.arm("flynn-host", host.next().unwrap_or_default());
        }
        if PROGRAMS.iter().all(|program| world.armed(program).is_empty()) {
            break;
        }
        let under_way = world.begin(operation);
        world.end(under_way);
        world.converge();
    }
    for program in PROGRAMS {
        assert_eq!(world.armed(program), "", "{program} did not die there");
    }
    assert_eq!(host.len(), 0, "the agent did not come to the last points");
}

/// A point without a test would be a place nobody has died at.
#[test]
fn every_effect_is_tried() {
    let operations = [Operation::Push, Operation::Deploy, Operation::Scale, Operation::Stop].map(steps);
    let tried: BTreeSet<_> = operations
        .iter()
        .flat_map(|steps| [&steps.flynnd.concat(), &steps.host.concat(), steps.router].concat())
        .collect();
    assert_eq!(tried.into_iter().collect::<Vec<_>>(), Effect::ALL);
}

/// That an effect is tried during one operation says nothing of another: all of them begin and end instances, while the
/// router follows.
#[test]
fn every_operation_tries_what_it_does() {
    for operation in [Operation::Push, Operation::Deploy, Operation::Scale, Operation::Stop] {
        let Steps { flynnd, host, router, host_long } = steps(operation);
        let (flynnd, host) = (flynnd.concat(), [host, host_long].concat().concat());
        for (program, tried, done) in [
            ("flynnd", &flynnd, [BEGIN, END].concat()),
            ("flynn-host", &host, [BEGIN_ON_NODE, END_ON_NODE].concat()),
            ("flynn-router", &router.to_vec(), ROUTER.to_vec()),
        ] {
            let missing: Vec<_> = done.iter().filter(|effect| !tried.contains(effect)).collect();
            assert!(missing.is_empty(), "{operation:?}: {program} does not die at {missing:?}");
        }
    }
}
