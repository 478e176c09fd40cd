//! Deaths before and after everything that a program does to the world.

use std::collections::BTreeSet;

use flynn_instance::crash::CrashPoint::{self, After, Before};
use flynn_instance::crash::Effect::{self, *};

use super::world::World;
use super::{Operation, PROGRAMS};

/// What the programs do during an operation, in about this order.
struct Steps {
    flynnd: &'static [Effect],
    host: &'static [Effect],
    router: &'static [Effect],
}

const ROUTER: &[Effect] = &[ChangeTaken, Acknowledge];

const fn steps(operation: Operation) -> Steps {
    match operation {
        Operation::Push => Steps {
            flynnd: &[BlobPut, BuildCreate, BuildPlace, BuildRun, BuildEnd, ReleaseCreate],
            host: &[BuildRun, SandboxCreate, SandboxStart, SandboxRemove, BlobPut, BuildEnd],
            router: &[],
        },
        Operation::Deploy => Steps {
            flynnd: &[JobCreate, JobPlace, JobStart, JobUp, JobDrain, JobDown, DeploymentEnd],
            host: &[JobStart, WorkplacePrepare, ContainerCreate, ContainerStart, JobUp],
            router: ROUTER,
        },
        Operation::Scale => Steps { flynnd: &[FormationChange], host: &[], router: &[] },
        Operation::Stop => Steps {
            flynnd: &[JobStopping, JobEnd],
            host: &[JobStopping, ContainerSignal, JobEnd, ContainerRemove, WorkplaceRelease],
            router: &[],
        },
    }
}

/// Repeats `operation` until every program has died before and after each of its effects.
pub(super) fn killed_at_points(world: &mut World, operation: Operation) {
    let Steps { flynnd, host, router } = steps(operation);
    let points = |effects: &[Effect]| -> Vec<CrashPoint> {
        let sides = effects.iter().flat_map(|effect| [Before(*effect), After(*effect)]);
        // What follows on a change has its own points.
        sides.filter(|point| *point != After(ChangeTaken)).collect()
    };
    world.arm("flynnd", &points(flynnd));
    world.arm("flynn-router", &points(router));
    // An agent that dies too often in a row is not heard of, and its node is lost.
    let host = points(host);
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
    let tried: BTreeSet<_> =
        operations.iter().flat_map(|steps| [steps.flynnd, steps.host, steps.router].concat()).collect();
    assert_eq!(tried.into_iter().collect::<Vec<_>>(), Effect::ALL);
}
