//! From creation to removal.

use std::time::Duration;

use flynn_core::noun::Exit;
use flynn_core::port::{ContainerState, Exec, Runtime, RuntimeError, Secret, Signal};
use futures::StreamExt;

use super::{RuntimeHarness, World};

/// A created job has not run its program; a started one has.
pub async fn a_job_is_created_and_then_started<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    world.runtime.create(job, world.script(job, "echo ran; sleep 1000")).await.unwrap();
    assert_eq!(world.state(job).await, Some(ContainerState::Created));
    assert_eq!(world.output(job), [""; 0]);
    world.runtime.start(job).await.unwrap();
    assert!(matches!(world.state(job).await, Some(ContainerState::Running { .. })));
    world.logged(job, "ran").await;
}

/// A job that runs or has ended is not run again.
pub async fn a_second_start_runs_nothing<H: RuntimeHarness>(world: &World<H>) {
    let (job, _) = world.run_to_end("echo once").await;
    world.runtime.start(job).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Code(0));
    assert_eq!(world.output(job), ["once"]);
}

/// A job that is there keeps its program, whatever a repeated creation asks for.
pub async fn a_second_create_changes_nothing<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    world.runtime.create(job, world.script(job, "echo first")).await.unwrap();
    world.runtime.create(job, world.script(job, "echo second")).await.unwrap();
    world.runtime.start(job).await.unwrap();
    world.exit(job).await;
    world.runtime.create(job, world.script(job, "echo third")).await.unwrap();
    assert!(matches!(world.state(job).await, Some(ContainerState::Exited { .. })));
    assert_eq!(world.output(job), ["first"]);
}

/// Codes and signals arrive as they were.
pub async fn ends_are_told_apart<H: RuntimeHarness>(world: &World<H>) {
    for (script, exit) in [
        ("exit 0", Exit::Code(0)),
        ("exit 7", Exit::Code(7)),
        ("exit 255", Exit::Code(255)),
        ("exit 137", Exit::Code(137)),
    ] {
        assert_eq!(world.run_to_end(script).await.1, exit, "{script}");
    }
    for (signal, exit) in [(Signal::Kill, Exit::Signal(9)), (Signal::Quit, Exit::Code(3))] {
        let job = world.run("trap 'exit 3' QUIT; echo ready; while :; do sleep 0.05; done").await;
        world.logged(job, "ready").await;
        world.runtime.signal(job, signal).await.unwrap();
        assert_eq!(world.exit(job).await, exit);
    }
}

/// An exit stays in the list, with its time, until the job is removed.
pub async fn an_exit_is_kept_until_removal<H: RuntimeHarness>(world: &World<H>) {
    let (job, _) = world.run_to_end("exit 4").await;
    let first = world.state(job).await;
    assert!(matches!(first, Some(ContainerState::Exited { exit: Exit::Code(4), .. })));
    world.runtime.signal(job, Signal::Term).await.unwrap();
    assert_eq!(world.state(job).await, first);
    world.runtime.remove(job).await.unwrap();
    assert_eq!(world.state(job).await, None);
    world.runtime.remove(job).await.unwrap();
}

/// A program that is not there fails creation or start, with its name in the reason; if it is the start,
/// the job has ended without having run.
pub async fn a_missing_program_is_an_error<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let error = match world.runtime.create(job, world.spec(job, &["no-such-program"])).await {
        Err(error) => {
            assert_eq!(world.state(job).await, None);
            error
        }
        Ok(()) => {
            let error = world.runtime.start(job).await.unwrap_err();
            assert!(matches!(world.exit(job).await, Exit::NotStarted { .. }));
            error
        }
    };
    let RuntimeError::Failed { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("no-such-program"), "{source}");
}

/// Of a job that is not there nothing can be had, and it can be removed.
pub async fn what_is_not_there_is_not_found<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let missing = |result: Result<(), RuntimeError>| {
        assert!(matches!(result, Err(RuntimeError::NotFound { job: found, .. }) if found == job), "{result:?}");
    };
    missing(world.runtime.start(job).await);
    missing(world.runtime.signal(job, Signal::Term).await);
    missing(world.runtime.exec(job, world.process(job, "true")).await.map(drop));
    missing(world.runtime.attach(job).await.map(drop));
    world.runtime.remove(job).await.unwrap();
}

/// Removal kills what runs, also what ignores signals and what went away from the first process.
pub async fn a_removed_job_leaves_no_process<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run("trap '' TERM HUP; (setsid sleep 1000 &); sleep 1000 & echo ready; sleep 1000").await;
    world.logged(job, "ready").await;
    world.until("all run", async || (world.processes(job).len() >= 3).then_some(())).await;
    world.runtime.remove(job).await.unwrap();
    assert_eq!(world.processes(job), [0; 0]);
}

/// A job can be removed before it was started.
pub async fn a_job_that_was_never_started_is_removed<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    world.runtime.create(job, world.script(job, "sleep 1000")).await.unwrap();
    world.runtime.remove(job).await.unwrap();
    assert_eq!(world.state(job).await, None);
    world.dead(job).await;
}

/// Whoever listens is woken by an end, and then sees it.
pub async fn an_end_wakes<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run("read line").await;
    let mut wakes = world.runtime.exits();
    world.runtime.signal(job, Signal::Kill).await.unwrap();
    let seen = async {
        while !matches!(world.state(job).await, Some(ContainerState::Exited { .. })) {
            wakes.next().await.unwrap();
        }
    };
    // Well below the time after which it would wake for nothing.
    tokio::time::timeout(Duration::from_secs(8), seen).await.unwrap();
}

/// Each signal arrives as itself.
pub async fn signals_reach_the_first_process<H: RuntimeHarness>(world: &World<H>) {
    let script = "for s in TERM INT HUP QUIT USR1 USR2; do trap \"echo got $s\" $s; done; echo ready;
        while :; do sleep 0.02; done";
    let job = world.run(script).await;
    world.logged(job, "ready").await;
    for (signal, name) in [
        (Signal::Term, "TERM"),
        (Signal::Int, "INT"),
        (Signal::Hup, "HUP"),
        (Signal::Quit, "QUIT"),
        (Signal::Usr1, "USR1"),
        (Signal::Usr2, "USR2"),
    ] {
        world.runtime.signal(job, signal).await.unwrap();
        world.logged(job, &format!("got {name}")).await;
    }
}

/// What a job left running in the background ends with its first process.
pub async fn what_a_job_started_ends_with_it<H: RuntimeHarness>(world: &World<H>) {
    let (job, exit) = world.run_to_end("(setsid sleep 1000 &); (sleep 1000 &); exit 5").await;
    assert_eq!(exit, Exit::Code(5));
    world.dead(job).await;
}

/// Arguments, environment and working directory arrive, and nothing else does.
pub async fn environment_and_directory_arrive<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let mut spec = world.spec(job, &["sh", "-c", "echo \"$GREETING|$1|$(pwd)\"; env", "sh", "a  'b'"]);
    spec.process.env.insert("GREETING".to_owned(), Secret::new("hello é"));
    spec.process.directory = "/tmp".into();
    world.start(job, spec).await;
    assert_eq!(world.exit(job).await, Exit::Code(0));
    let output = world.output(job);
    assert_eq!(output[0], "hello é|a  'b'|/tmp");
    for line in &output[1..] {
        let key = line.split('=').next().unwrap();
        let known = ["GREETING", "PATH", "PWD", "OLDPWD", "SHLVL", "HOME", "TEST_JOB", "_", "FLYNN_SUPERVISED"];
        assert!(known.contains(&key), "{line}");
    }
}

/// A spec that can never work is refused as such and leaves nothing.
pub async fn impossible_specs_are_refused<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let mut relative = world.script(job, "true");
    relative.process.directory = "tmp".into();
    let mut binary = world.script(job, "true");
    binary.process.env.insert("KEY".to_owned(), Secret::new([0xff, 0xfe]));
    for spec in [world.spec(job, &[]), world.spec(job, &[""]), relative, binary] {
        let error = world.runtime.create(job, spec).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Invalid { .. }), "{error:?}");
        assert_eq!(world.state(job).await, None);
    }
}

/// Of creations of one job at the same time all succeed, and there is one job.
pub async fn racing_creations_make_one_job<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let create = || world.runtime.create(job, world.script(job, "echo one"));
    let (first, second, third) = futures::join!(create(), create(), create());
    for result in [first, second, third] {
        result.unwrap();
    }
    world.runtime.start(job).await.unwrap();
    assert_eq!(world.exit(job).await, Exit::Code(0));
    assert_eq!(world.output(job), ["one"]);
}
