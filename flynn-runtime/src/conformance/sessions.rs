//! Further processes, and joining the first.

use std::time::Duration;

use flynn_core::noun::Exit;
use flynn_core::port::{Exec, Runtime, RuntimeError, Session, Signal, TerminalSize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{RuntimeHarness, World};

const LONG: &str = "echo ready; sleep 1000";

async fn all(session: &mut Session) -> String {
    let mut text = String::new();
    let read = session.output.read_to_string(&mut text);
    tokio::time::timeout(Duration::from_secs(40), read).await.unwrap().unwrap();
    text
}

/// It has its own streams and its own end.
pub async fn a_further_process_runs_beside_the_first<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let mut session = world.runtime.exec(job, world.process(job, "echo out; echo err >&2; exit 4")).await.unwrap();
    assert_eq!(all(&mut session).await, "out\n");
    let mut errors = String::new();
    session.errors.as_mut().unwrap().read_to_string(&mut errors).await.unwrap();
    assert_eq!(errors, "err\n");
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(4));
    world.logged(job, "ready").await;
    assert_eq!(world.lines(job).len(), 1);
}

/// What is written to a session arrives, and so does its end.
pub async fn input_reaches_it_and_ends<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let mut session = world.runtime.exec(job, world.process(job, "cat; echo over")).await.unwrap();
    session.input.write_all(b"one\ntwo\n").await.unwrap();
    session.input.shutdown().await.unwrap();
    assert_eq!(all(&mut session).await, "one\ntwo\nover\n");
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(0));

    let silent = flynn_core::port::Process { interactive: false, ..world.process(job, "cat; echo over") };
    let mut session = world.runtime.exec(job, silent).await.unwrap();
    assert_eq!(all(&mut session).await, "over\n");
}

/// Many can run at the same time without waiting for each other.
pub async fn many_run_at_once<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let run = async |number: usize| {
        let script = format!("echo {number}; read line; exit {number}");
        let mut session = world.runtime.exec(job, world.process(job, &script)).await.unwrap();
        let mut line = String::new();
        BufReader::new(&mut session.output).read_line(&mut line).await.unwrap();
        (session, line)
    };
    let sessions = futures::future::join_all((0..12).map(run)).await;
    for (number, (mut session, line)) in sessions.into_iter().enumerate() {
        assert_eq!(line, format!("{number}\n"));
        session.input.write_all(b"\n").await.unwrap();
        assert_eq!(session.control.wait().await.unwrap(), Exit::Code(number as i32));
    }
}

/// A job that was not started, or has ended, runs nothing further.
pub async fn none_runs_in_a_job_that_does_not<H: RuntimeHarness>(world: &World<H>) {
    let created = world.job();
    world.runtime.create(created, world.script(created, LONG)).await.unwrap();
    let (ended, _) = world.run_to_end("true").await;
    for job in [created, ended] {
        let refused = world.runtime.exec(job, world.process(job, "true")).await;
        assert!(matches!(refused, Err(RuntimeError::Invalid { .. })), "{refused:?}");
    }
}

/// The reason names the program, and the job is not harmed.
pub async fn a_further_program_that_is_missing_is_an_error<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let mut process = world.process(job, "");
    process.command = vec!["no-such-program".to_owned()];
    let error = world.runtime.exec(job, process).await.unwrap_err();
    let RuntimeError::Failed { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("no-such-program"), "{source}");
    let mut session = world.runtime.exec(job, world.process(job, "echo fine")).await.unwrap();
    assert_eq!(all(&mut session).await, "fine\n");
}

/// A terminal is one, and has the size that it was told.
pub async fn a_terminal_has_a_size<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let process = World::<H>::on_terminal(world.process(job, "read line; stty size; test -t 0 && echo terminal"));
    let mut session = world.runtime.exec(job, process).await.unwrap();
    assert!(session.errors.is_none());
    session.control.resize(TerminalSize { rows: 41, columns: 123 }).await.unwrap();
    session.input.write_all(b"go\n").await.unwrap();
    assert_eq!(all(&mut session).await, "go\r\n41 123\r\nterminal\r\n");
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(0));
}

/// The answer is the same.
pub async fn its_end_can_be_asked_again<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let session = world.runtime.exec(job, world.process(job, "exit 8")).await.unwrap();
    let (first, second) = futures::join!(session.control.wait(), session.control.wait());
    assert_eq!((first.unwrap(), second.unwrap()), (Exit::Code(8), Exit::Code(8)));
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(8));
    session.control.signal(Signal::Term).await.unwrap();
}

/// It takes signals of its own.
pub async fn it_takes_signals<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let mut session = world.runtime.exec(job, world.process(job, "echo up; exec sleep 1000")).await.unwrap();
    let mut line = String::new();
    BufReader::new(&mut session.output).read_line(&mut line).await.unwrap();
    session.control.signal(Signal::Term).await.unwrap();
    assert_eq!(session.control.wait().await.unwrap(), Exit::Signal(15));
}

/// Whoever drops a session hangs up on the process.
pub async fn a_dropped_session_hangs_up<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run("exec sleep 1000").await;
    // One that is about to become another program is not found for a moment.
    let first = world.until("it runs", async || world.processes(job).first().copied()).await;
    let further = || world.processes(job).into_iter().filter(|process| *process != first).count();
    for terminal in [false, true] {
        let process = world.process(job, "echo up; sleep 1000");
        let process = if terminal { World::<H>::on_terminal(process) } else { process };
        let mut session = world.runtime.exec(job, process).await.unwrap();
        let mut line = String::new();
        BufReader::new(&mut session.output).read_line(&mut line).await.unwrap();
        world.until("the further process runs", async || (further() > 0).then_some(())).await;
        drop(session);
        world.until("the further process is gone", async || (further() == 0).then_some(())).await;
    }
}

async fn attachable<H: RuntimeHarness>(world: &World<H>, script: &str) -> flynn_core::JobId {
    let job = world.job();
    let mut spec = world.script(job, script);
    spec.process.interactive = true;
    world.runtime.create(job, spec).await.unwrap();
    job
}

/// Whoever attaches before the start sees all there is, and the log has it too.
pub async fn an_attached_client_misses_nothing<H: RuntimeHarness>(world: &World<H>) {
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo \"line $i\"; done; echo bad >&2; exit 2";
    let job = attachable(world, script).await;
    let mut session = world.runtime.attach(job).await.unwrap();
    world.runtime.start(job).await.unwrap();
    let text = all(&mut session).await;
    assert_eq!(text.lines().count(), 20_000);
    assert_eq!(text.lines().last(), Some("line 20000"));
    let mut errors = String::new();
    session.errors.as_mut().unwrap().read_to_string(&mut errors).await.unwrap();
    assert_eq!(errors, "bad\n");
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(2));
    assert_eq!(world.output(job).len(), 20_000);
}

/// The end of an attached input is the end of the job's.
pub async fn attached_input_ends<H: RuntimeHarness>(world: &World<H>) {
    let job = attachable(world, "wc -c").await;
    let mut session = world.runtime.attach(job).await.unwrap();
    world.runtime.start(job).await.unwrap();
    session.input.write_all(&vec![b'x'; 300_000]).await.unwrap();
    session.input.shutdown().await.unwrap();
    assert_eq!(all(&mut session).await.trim(), "300000");
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(0));
}

/// Whoever leaves without ending the input lets the next one go on.
pub async fn leaving_does_not_end_the_input<H: RuntimeHarness>(world: &World<H>) {
    let job = attachable(world, "while read line; do echo \"<$line>\"; done; echo over").await;
    world.runtime.start(job).await.unwrap();
    for word in ["one", "two"] {
        let mut session = world.runtime.attach(job).await.unwrap();
        session.input.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        BufReader::new(&mut session.output).read_line(&mut line).await.unwrap();
        assert_eq!(line, format!("<{word}>\n"));
    }
    assert_eq!(world.output(job), ["<one>", "<two>"]);
}

/// All who are attached see the same.
pub async fn several_can_be_attached<H: RuntimeHarness>(world: &World<H>) {
    let job = attachable(world, "read line; echo \"got $line\"").await;
    let (mut one, mut two) = (world.runtime.attach(job).await.unwrap(), world.runtime.attach(job).await.unwrap());
    world.runtime.start(job).await.unwrap();
    two.input.write_all(b"it\n").await.unwrap();
    assert_eq!(all(&mut one).await, "got it\n");
    assert_eq!(all(&mut two).await, "got it\n");
}

/// The terminal of a first process is joined through the supervisor.
pub async fn a_terminal_can_be_attached<H: RuntimeHarness>(world: &World<H>) {
    let job = world.job();
    let mut spec = world.script(job, "read line; stty size; test -t 1 && echo terminal; exit 6");
    spec.process.interactive = true;
    spec.process = World::<H>::on_terminal(spec.process);
    world.runtime.create(job, spec).await.unwrap();
    let mut session = world.runtime.attach(job).await.unwrap();
    world.runtime.start(job).await.unwrap();
    session.control.resize(TerminalSize { rows: 17, columns: 71 }).await.unwrap();
    session.input.write_all(b"go\n").await.unwrap();
    assert_eq!(all(&mut session).await, "go\r\n17 71\r\nterminal\r\n");
    assert_eq!(session.control.wait().await.unwrap(), Exit::Code(6));
    world.exit(job).await;
    assert_eq!(world.output(job), ["go", "17 71", "terminal"]);
}

/// A job that was not made for it cannot be attached to.
pub async fn a_job_for_the_log_cannot_be_attached<H: RuntimeHarness>(world: &World<H>) {
    let job = world.run(LONG).await;
    let refused = world.runtime.attach(job).await;
    assert!(matches!(refused, Err(RuntimeError::Invalid { .. })), "{refused:?}");
}
