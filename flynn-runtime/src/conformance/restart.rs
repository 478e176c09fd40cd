//! Runtimes come and go, and so may supervisors.

use std::time::Duration;

use flynn_core::noun::Exit;
use flynn_core::port::{ContainerState, Exec, Runtime};
use futures::StreamExt;
use tokio::io::AsyncReadExt;

use super::{RuntimeHarness, World};

/// Jobs go on without their runtime, and another one takes them over, whatever state they are in.
pub async fn jobs_outlive_their_runtime<H: RuntimeHarness>(world: &World<H>) {
    let (created, running) = (world.job(), world.run("echo ready; sleep 1000").await);
    world.runtime.create(created, world.script(created, "exit 6")).await.unwrap();
    let (ended, _) = world.run_to_end("exit 5").await;
    let mut before = world.runtime.list().await.unwrap();

    let other = world.harness.open().await;
    let mut after = other.list().await.unwrap();
    before.sort_by_key(|container| container.job);
    after.sort_by_key(|container| container.job);
    assert_eq!(after, before);
    assert_eq!(after.len(), 3);
    assert!(matches!(world.state(running).await, Some(ContainerState::Running { .. })));
    assert!(matches!(world.state(ended).await, Some(ContainerState::Exited { exit: Exit::Code(5), .. })));

    other.start(created).await.unwrap();
    assert_eq!(world.exit(created).await, Exit::Code(6));
    let mut session = other.exec(running, world.process(running, "echo still here")).await.unwrap();
    let mut text = String::new();
    session.output.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "still here\n");
    other.remove(running).await.unwrap();
    assert_eq!(world.state(running).await, None);
}

/// An end that came while no runtime was there is found by the next one.
pub async fn an_end_that_nobody_saw_is_found<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run("sleep 0.2; exit 9").await;
    let exit = world.harness.files(job).exit();
    // Nobody asks the runtime meanwhile.
    world.until("the exit is written", async || exit.exists().then_some(())).await;
    let other = world.harness.open().await;
    let list = other.list().await.unwrap();
    assert!(matches!(&list[..], [one] if matches!(one.state, ContainerState::Exited { exit: Exit::Code(9), .. })));
}

/// A job whose supervisor died is lost, and what was left of it is dead.
pub async fn a_dead_supervisor_loses_its_job<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run("(setsid sleep 1000 &); echo ready; sleep 1000").await;
    world.logged(job, "ready").await;
    world.until("all run", async || (world.processes(job).len() >= 2).then_some(())).await;
    world.kill_supervisor(job);
    let lost = world.until("the job is lost", async || lost(world, job).await).await;
    assert!(!lost.is_empty());
    world.dead(job).await;
    world.runtime.signal(job, flynn_core::port::Signal::Term).await.unwrap();
    let other = world.harness.open().await;
    assert!(matches!(other.list().await.unwrap()[0].state, ContainerState::Lost { .. }));
}

async fn lost<H: RuntimeHarness>(world: &World<H>, job: flynn_core::JobId) -> Option<String> {
    match world.state(job).await {
        Some(ContainerState::Lost { reason }) => Some(reason),
        _ => None,
    }
}

/// The same before the program was run.
pub async fn a_dead_supervisor_of_a_created_job_loses_it<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    world.runtime.create(job, world.script(job, "echo ran; sleep 1000")).await.unwrap();
    world.kill_supervisor(job);
    world.until("the job is lost", async || lost(world, job).await).await;
    world.runtime.start(job).await.unwrap();
    world.dead(job).await;
    assert_eq!(world.output(job), [""; 0]);
}

/// Nobody holds the socket of a dead supervisor open, where a request would wait for ever.
pub async fn a_dead_supervisor_is_out_of_reach<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    world.runtime.create(job, world.script(job, "sleep 1000")).await.unwrap();
    let socket = world.harness.files(job).directory.join(crate::shim::Files::SOCKET);
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    world.kill_supervisor(job);
    let refused = async || std::os::unix::net::UnixStream::connect(&socket).is_err().then_some(());
    world.until("the socket is closed", refused).await;
}

/// A supervisor that dies after its job has ended takes nothing along.
pub async fn an_exit_outlives_its_supervisor<H: RuntimeHarness>(world: &World<H>) {
    let (job, _) = world.run_to_end("exit 3").await;
    let before = world.state(job).await;
    world.kill_supervisor(job);
    assert_eq!(world.state(job).await, before);
    let other = world.harness.open().await;
    other.remove(job).await.unwrap();
    assert_eq!(world.state(job).await, None);
}

/// A lost job is removed like any other, also without having been listed before.
pub async fn a_lost_job_can_be_removed<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run("echo ready; sleep 1000").await;
    world.logged(job, "ready").await;
    world.kill_supervisor(job);
    world.runtime.remove(job).await.unwrap();
    assert_eq!(world.state(job).await, None);
    world.dead(job).await;
}

/// The death of a supervisor wakes too.
pub async fn a_dead_supervisor_wakes<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run("echo ready; sleep 1000").await;
    world.logged(job, "ready").await;
    let mut wakes = world.runtime.exits();
    world.kill_supervisor(job);
    let seen = async {
        while lost(world, job).await.is_none() {
            wakes.next().await.unwrap();
        }
    };
    // Well below the time after which it would wake for nothing.
    tokio::time::timeout(Duration::from_secs(8), seen).await.unwrap();
}
