//! Terminals, further processes and logs through the link.

use std::collections::BTreeMap;

use flynn_core::link::Frame;
use flynn_core::noun::{Exit, OneOffInput, Terminal};
use flynn_core::port::{ExecRequest, LinkError, LinkRequest, LogQuery, LogSelection, Signal, TerminalSize};

use crate::ground::Ground;

fn exec(script: &str, terminal: Terminal) -> ExecRequest {
    let size = (terminal == Terminal::Pty).then_some(TerminalSize { rows: 20, columns: 70 });
    ExecRequest { command: ["sh", "-c", script].map(str::to_owned).to_vec(), terminal, env: BTreeMap::new(), size }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_for_its_caller_and_ends_with_its_code() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let script = "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo line $i; done; echo bad >&2; cat; exit 9";
    let job = ground.one_off(script, Terminal::None, OneOffInput::Attached).await;
    let mut way = agent.open(LinkRequest::Attach(job)).await;
    way.writer.write(Frame::Input(b"from the caller\n".to_vec())).await.unwrap();
    way.writer.write(Frame::InputEnd).await.unwrap();
    let (output, errors, end) = way.read_all().await;
    assert_eq!(output.lines().count(), 5_001);
    assert_eq!(output.lines().last(), Some("from the caller"));
    assert_eq!((errors.as_str(), end), ("bad\n", Some(Frame::Exit(Exit::Code(9)))));
    assert_eq!(ground.cluster.exit(job).await, Exit::Code(9));
    ground.cleared(job).await;
    // Whoever comes too late is told how it ended.
    let (output, _, end) = agent.open(LinkRequest::Attach(job)).await.read_all().await;
    assert_eq!((output.as_str(), end), ("", Some(Frame::Exit(Exit::Code(9)))));
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_resized_signalled_and_hung_up() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let script = "trap 'echo interrupted' INT; trap 'exit 4' HUP; echo ready; while true; do read x && stty size; sleep 0.05; done";
    let job = ground.one_off(script, Terminal::Pty, OneOffInput::Attached).await;
    let mut way = agent.open(LinkRequest::Attach(job)).await;
    way.read_until("ready").await;
    way.writer.write(Frame::Resize(TerminalSize { rows: 31, columns: 97 })).await.unwrap();
    way.writer.write(Frame::Input(b"\n".to_vec())).await.unwrap();
    way.read_until("31 97").await;
    way.writer.write(Frame::Signal(Signal::Int)).await.unwrap();
    way.writer.write(Frame::Input(b"\n".to_vec())).await.unwrap();
    way.read_until("interrupted").await;
    drop(way);
    assert_eq!(ground.cluster.exit(job).await, Exit::Code(4));
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ignores_a_hang_up_is_told_to_end() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let script = "trap '' HUP; trap 'exit 6' TERM; echo ready; while true; do sleep 0.05; done";
    let job = ground.one_off(script, Terminal::None, OneOffInput::Attached).await;
    let mut way = agent.open(LinkRequest::Attach(job)).await;
    way.read_until("ready").await;
    drop(way);
    assert_eq!(ground.cluster.exit(job).await, Exit::Code(6));
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_process_runs_beside_a_job() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let job = ground.service("sleep 1000").await;
    ground.cluster.up(job).await;
    let mut way = agent.open(LinkRequest::Exec(job, exec("cat; id -u; exit 8", Terminal::None))).await;
    way.writer.write(Frame::Input(vec![b'x'; 200_000])).await.unwrap();
    way.writer.write(Frame::InputEnd).await.unwrap();
    let (output, _, end) = way.read_all().await;
    assert!(output.ends_with("x1000\n") && output.len() == 200_005, "{}", output.len());
    assert_eq!(end, Some(Frame::Exit(Exit::Code(8))));
    // It is told its size a moment after it was started.
    let sized = "until [ \"$(stty size 2>&1)\" = '20 70' ]; do sleep 0.02; done; echo sized; exit 1";
    let mut way = agent.open(LinkRequest::Exec(job, exec(sized, Terminal::Pty))).await;
    let (output, _, end) = way.read_all().await;
    assert_eq!((output.as_str(), end), ("sized\r\n", Some(Frame::Exit(Exit::Code(1)))));

    let missing = ExecRequest { command: vec!["no-such-program".into()], ..exec("", Terminal::None) };
    let refused = agent.link.open(LinkRequest::Exec(job, missing)).await.err();
    assert!(matches!(refused, Some(LinkError::Refused { .. })), "{refused:?}");
    let nowhere = ground.cluster.id();
    let refused = agent.link.open(LinkRequest::Exec(nowhere, exec("true", Terminal::None))).await.err();
    assert!(matches!(refused, Some(LinkError::NotFound(_))), "{refused:?}");

    // Whoever hangs up ends what they ran, and nothing else.
    let stubborn = "trap '' HUP; echo ready; while true; do sleep 0.05; done";
    let mut way = agent.open(LinkRequest::Exec(job, exec(stubborn, Terminal::None))).await;
    way.read_until("ready").await;
    drop(way);
    let alone = async || {
        let mut way = agent.open(LinkRequest::Exec(job, exec("ps -o args | grep -c '[t]rap'", Terminal::None))).await;
        (way.read_all().await.0 == "0\n").then_some(())
    };
    ground.cluster.until("the further process is gone", alone).await;
    ground.cluster.up(job).await;
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_attaches_to_a_service_sees_what_it_writes() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let job = ground.service("i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo tick $i; sleep 0.02; done").await;
    ground.cluster.up(job).await;
    let mut way = agent.open(LinkRequest::Attach(job)).await;
    way.read_until("tick").await;
    drop(way);
    let query =
        LogQuery { app: ground.cluster.app, source: LogSelection::Job(job), since: None, last: 5, follow: true };
    let mut way = agent.open(LinkRequest::Logs(query)).await;
    for _ in 0..20 {
        assert!(matches!(way.next().await, Some(Frame::Line(_))));
    }
    drop(way);
    ground.finish(agent).await;
}
