//! The first process of a container takes signals as it would on a machine of its own.

use std::time::{Duration, Instant};

use flynn_core::noun::Exit;
use flynn_core::port::{ContainerState, Exec, Mount, MountSource, Runtime, Signal};
use flynn_runtime::conformance::World;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::Containers;

/// Far below any stop time, and enough on a busy machine.
const SOON: Duration = Duration::from_secs(5);

async fn world() -> World<Containers> {
    World::new(Containers::new()).await
}

async fn is_running(world: &World<Containers>, job: flynn_core::JobId) -> bool {
    matches!(world.state(job).await, Some(ContainerState::Running { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_without_a_handler_ends_by_the_signal() {
    let world = world().await;
    for (signal, number) in [(Signal::Term, 15), (Signal::Int, 2), (Signal::Hup, 1), (Signal::Quit, 3)] {
        let job = world.job();
        world.start(job, world.spec(job, &["sleep", "1000"])).await;
        let before = Instant::now();
        world.runtime.signal(job, signal).await.unwrap();
        assert_eq!(world.exit(job).await, Exit::Signal(number));
        let taken = before.elapsed();
        assert!(taken < SOON, "{taken:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_decides_the_end() {
    let world = world().await;
    let job = world.run("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done").await;
    world.logged(job, "ready").await;
    world.runtime.signal(job, Signal::Term).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Code(3));
    assert_eq!(world.output(job), ["ready", "bye"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handled_signal_reaches_nobody_else() {
    let world = world().await;
    let script = "(trap 'echo stray' TERM; trap 'echo pong' USR1; echo child; while :; do sleep 0.02; done) & child=$!
        trap 'echo first' TERM; trap 'kill -USR1 $child' USR1; echo ready; while :; do sleep 0.02; done";
    let job = world.run(script).await;
    world.logged(job, "child").await;
    world.logged(job, "ready").await;
    world.runtime.signal(job, Signal::Term).await.unwrap();
    world.logged(job, "first").await;
    // What the child says to this it would have said to the other before.
    world.runtime.signal(job, Signal::Usr1).await.unwrap();
    world.logged(job, "pong").await;
    assert!(!world.output(job).contains(&"stray".to_owned()), "{:?}", world.output(job));
    assert!(is_running(&world, job).await);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_of_a_waiting_shell_ends_first() {
    let world = world().await;
    let child = "(trap 'echo child-bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done)";
    for (script, exit) in [
        (format!("cd / && {child}; exit 5"), Exit::Code(5)),
        (format!("{child} & wait; echo waited; exit 6"), Exit::Code(6)),
        (format!("{child} & exec sleep 1000"), Exit::Signal(15)),
    ] {
        let job = world.run(&script).await;
        world.logged(job, "ready").await;
        let before = Instant::now();
        world.runtime.signal(job, Signal::Term).await.unwrap();
        assert_eq!(world.exit(job).await, exit, "{script}");
        assert!(before.elapsed() < SOON, "{script}");
        assert_eq!(world.output(job)[..2], ["ready", "child-bye"], "{script}");
    }
    world.finish().await;
}

/// It has as long as it wants, and whom it starts to clean up is left alone until it has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_may_take_its_time() {
    let world = world().await;
    let cleaning = "trap '(trap \"echo stray\" TERM; sleep 1; echo cleaned); echo child-bye; exit 0' TERM";
    let job = world.run(&format!("({cleaning}; echo ready; while :; do sleep 0.05; done) & exec sleep 1000")).await;
    world.logged(job, "ready").await;
    world.runtime.signal(job, Signal::Term).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Signal(15));
    assert_eq!(world.output(job), ["ready", "cleaned", "child-bye"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shell_starts_later_is_told_too() {
    let world = world().await;
    let job = world.run("sleep 1000; echo next; sleep 1000; exit 6").await;
    let two = async || (world.processes(job).len() == 2).then_some(());
    world.until("the shell has a child", two).await;
    let before = Instant::now();
    world.runtime.signal(job, Signal::Term).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Code(6));
    assert!(before.elapsed() < SOON);
    assert_eq!(world.output(job), ["next"]);
    world.finish().await;
}

/// On a machine of its own it would not live to start the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_that_starts_its_child_over_and_over_ends() {
    let world = world().await;
    for pause in ["0.01", "1000"] {
        let job = world.run(&format!("echo ready; while :; do sleep {pause}; done")).await;
        world.logged(job, "ready").await;
        let before = Instant::now();
        world.runtime.signal(job, Signal::Term).await.unwrap();
        assert_eq!(world.exit(job).await, Exit::Signal(15));
        assert!(before.elapsed() < SOON);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ignores_a_signal_goes_on() {
    let world = world().await;
    let job = world.run("trap '' TERM; trap 'echo still' USR1; echo ready; while :; do sleep 0.02; done").await;
    world.logged(job, "ready").await;
    let beside = world.process(job, "trap 'echo stray' TERM; echo up; read line; echo over");
    let mut session = world.runtime.exec(job, beside).await.unwrap();
    let mut output = BufReader::new(&mut session.output);
    let mut line = String::new();
    output.read_line(&mut line).await.unwrap();
    assert_eq!(line, "up\n");
    world.runtime.signal(job, Signal::Term).await.unwrap();
    world.runtime.signal(job, Signal::Usr1).await.unwrap();
    world.logged(job, "still").await;
    assert!(is_running(&world, job).await);
    session.input.shutdown().await.unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "over\n");
    world.runtime.signal(job, Signal::Kill).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Signal(9));
    world.finish().await;
}

/// A child that does not go keeps the first process, until both are killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_ends_what_a_signal_did_not() {
    let world = world().await;
    let child = "(trap 'echo no' TERM; echo ready; while :; do sleep 0.02; done)";
    let job = world.run(&format!("{child} & exec sleep 1000")).await;
    world.logged(job, "ready").await;
    world.runtime.signal(job, Signal::Term).await.unwrap();
    world.logged(job, "no").await;
    assert!(is_running(&world, job).await);
    world.runtime.signal(job, Signal::Kill).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Signal(9));
    world.dead(job).await;
    world.finish().await;
}

/// A handler that comes while the others end is not passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_comes_late_gets_the_signal() {
    let world = world().await;
    let job = world.job();
    let mut spec = world.script(
        job,
        "mkfifo /tmp/first /tmp/second
        (trap 'echo told; read line < /tmp/second; exit 0' TERM; echo ready; while :; do sleep 0.02; done) &
        read line < /tmp/first; trap 'echo late; exit 9' TERM; echo set; while :; do sleep 0.02; done",
    );
    let source = MountSource::Tmpfs { bytes: 1 << 20 };
    spec.mounts = vec![Mount { source, target: "/tmp".into(), read_only: false }];
    world.start(job, spec).await;
    world.logged(job, "ready").await;
    world.runtime.signal(job, Signal::Term).await.unwrap();
    world.logged(job, "told").await;
    let open = async |fifo: &str| {
        let session = world.runtime.exec(job, world.process(job, &format!("echo > /tmp/{fifo}"))).await.unwrap();
        assert_eq!(session.control.wait().await.unwrap(), Exit::Code(0));
    };
    open("first").await;
    world.logged(job, "set").await;
    open("second").await;
    assert_eq!(world.exit(job).await, Exit::Code(9));
    assert_eq!(world.output(job), ["ready", "told", "set", "late"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_processes_are_told_too() {
    let world = world().await;
    let job = world.job();
    world.start(job, world.spec(job, &["sleep", "1000"])).await;
    let beside = world.process(job, "trap 'echo side-bye; exit 7' TERM; echo up; while :; do sleep 0.02; done");
    let mut session = world.runtime.exec(job, beside).await.unwrap();
    let mut output = BufReader::new(&mut session.output);
    let mut line = String::new();
    output.read_line(&mut line).await.unwrap();
    world.runtime.signal(job, Signal::Term).await.unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "side-bye\n");
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(7));
    assert_eq!(world.exit(job).await, Exit::Signal(15));
    world.finish().await;
}

/// As runtimes do that clean up first, such as that of Node.js.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_sends_the_signal_again_ends_by_it() {
    let world = world().await;
    let job = world.run("trap 'trap - TERM; kill -TERM $$' TERM; echo ready; while :; do sleep 0.02; done").await;
    world.logged(job, "ready").await;
    let before = Instant::now();
    world.runtime.signal(job, Signal::Term).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Signal(15));
    assert!(before.elapsed() < SOON, "{:?}", before.elapsed());
    let (_, exit) = world.run_to_end("kill -SEGV $$").await;
    assert_eq!(exit, Exit::Signal(11));
    world.finish().await;
}

/// The first process is not the program's to see into, to stop or to leave the dead with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_process_is_out_of_reach_and_reaps() {
    let world = world().await;
    for user in [1000, 0] {
        let job = world.job();
        let mut spec = world.script(
            job,
            "for file in environ mem maps fd/3; do cat /proc/1/$file > /tmp/$file 2>/dev/null && echo read $file; done
            readlink /proc/1/exe /proc/1/root /proc/1/cwd
            echo > /proc/1/fd/3
            kill -KILL 1; kill -STOP 1
            i=0; while [ $i -lt 20 ]; do i=$((i+1)); (sleep 0.01 &); done
            while grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do sleep 0.05; done
            kill -TERM 1; sleep 1000",
        );
        spec.process.user = (user, user);
        let source = MountSource::Tmpfs { bytes: 1 << 20 };
        spec.mounts = vec![Mount { source, target: "/tmp".into(), read_only: false }];
        world.start(job, spec).await;
        // The last is passed on to it.
        assert_eq!(world.exit(job).await, Exit::Signal(15));
        let output = world.output(job);
        assert!(output.iter().all(|line| line.ends_with("/status")), "{output:?}");
    }
    world.finish().await;
}
