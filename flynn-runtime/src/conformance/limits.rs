//! What a container may use.

use flynn_core::noun::Exit;
use flynn_core::port::{Runtime, Signal};

use super::{RuntimeHarness, World};
use crate::cgroup::Cgroups;

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

/// What the kernel says of a job in a file of its control groups; none if it has no such file.
fn kernel_says<H: RuntimeHarness>(world: &World<H>, job: flynn_core::JobId, file: &str) -> Option<String> {
    let path = world.harness.watched().cgroups.unwrap().job(job);
    let folders = Cgroups::detect().unwrap().folders(&path);
    folders.iter().find_map(|folder| std::fs::read_to_string(folder.join(file)).ok()).map(|text| text.trim().to_owned())
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

/// What does not fit into the memory of a job does not go to swap.
pub async fn swap_is_no_way_around_the_memory_limit<H: RuntimeHarness>(world: &World<H>) {
    let job = limited(world, "echo ready; sleep 1000").await;
    world.logged(job, "ready").await;
    match (kernel_says(world, job, "memory.memsw.limit_in_bytes"), kernel_says(world, job, "memory.swap.max")) {
        (Some(both), _) => assert_eq!(both, MEMORY.to_string()),
        (None, Some(swap)) => assert_eq!(swap, "0"),
        // A kernel that does not count swap of groups cannot limit it.
        (None, None) => assert!(kernel_says(world, job, "cgroup.procs").is_some()),
    }
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

/// A job gets the share of a processor that it may have and no more, however many processes want it. Counted is what the
/// kernel says it got within its periods, so that a busy machine changes nothing.
pub async fn processor_time_is_limited<H: RuntimeHarness>(world: &World<H>) {
    const MILLIS: u64 = 50;
    const THROTTLED: u64 = 30;
    let job = world.job();
    let mut spec = world.script(job, "while :; do :; done & while :; do :; done");
    spec.resources.cpu_millis = MILLIS;
    world.start(job, spec).await;
    let count = |name: &str| {
        let stat = kernel_says(world, job, "cpu.stat").unwrap();
        stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
    };
    let held = async || count("nr_throttled ").filter(|times| *times >= THROTTLED);
    world.until("it was held back", held).await;
    // In this order, so that there are at least as many periods as it had time in.
    let nanos = kernel_says(world, job, "cpuacct.usage").map(|nanos| nanos.parse::<u64>().unwrap());
    let micros = nanos.map(|nanos| nanos / 1_000).or_else(|| count("usage_usec ")).unwrap();
    let periods = count("nr_periods ").unwrap();
    // A period has 100 milliseconds. One is not counted to its end, and what made the container was not held back.
    let most = (periods + 2) * MILLIS * 100 + 50_000;
    assert!(micros <= most, "{micros} microseconds within {periods} periods, where {most} are allowed");
}

/// A kill by somebody is told apart from one for memory.
pub async fn a_kill_is_no_lack_of_memory<H: RuntimeHarness>(world: &World<H>) {
    let job = limited(world, "echo ready; sleep 1000").await;
    world.logged(job, "ready").await;
    world.runtime.signal(job, Signal::Kill).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Signal(9));
}
