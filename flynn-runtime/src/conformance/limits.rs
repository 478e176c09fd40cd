//! What a container may use.

use flynn_core::noun::Exit;
use flynn_core::port::{Runtime, Signal};

use super::{RuntimeHarness, World};

const MEMORY: u64 = 32 << 20;
const EAT: &str = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo survived ${#x}";

async fn limited<H: RuntimeHarness>(world: &World<H>, script: &str) -> flynn_core::JobId {
    let job = world.job();
    let mut spec = world.script(job, script);
    spec.resources.memory_bytes = MEMORY;
    spec.resources.pids = 20;
    world.start(job, spec).await;
    job
}

/// A job that takes more memory than it may is killed, and its exit says why.
pub async fn too_much_memory_is_reported<H: RuntimeHarness>(world: &World<H>) {
    let job = limited(world, EAT).await;
    assert_eq!(world.exit(job).await, Exit::OutOfMemory);
    assert_eq!(world.output(job), [""; 0]);
}

/// So it is if a child of the first process was killed and that passes it on.
pub async fn a_child_that_takes_too_much_memory_is_reported<H: RuntimeHarness>(world: &World<H>) {
    let job = limited(world, "(head -c 200000000 /dev/zero | tail -n 1 | wc -c); sleep 0.1; exit 137").await;
    assert_eq!(world.exit(job).await, Exit::OutOfMemory);
}

/// More processes than allowed cannot be made.
pub async fn processes_are_limited<H: RuntimeHarness>(world: &World<H>) {
    let script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); sleep 1000 & done; echo made all";
    let job = limited(world, script).await;
    world.exit(job).await;
    let lines = world.lines(job);
    assert!(lines.iter().any(|(_, line)| line.contains("fork")), "{lines:?}");
    assert!(!world.output(job).contains(&"made all".to_owned()));
}

/// A kill by somebody is told apart from one for memory.
pub async fn a_kill_is_no_lack_of_memory<H: RuntimeHarness>(world: &World<H>) {
    let job = limited(world, "echo ready; sleep 1000").await;
    world.logged(job, "ready").await;
    world.runtime.signal(job, Signal::Kill).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Signal(9));
}
