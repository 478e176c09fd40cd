//! Containers, from their job's placement to its end.

use std::time::{Duration, Instant};

use flynn_core::noun::{Desired, Exit, Health, JobState, OneOffInput, ProcessType, Terminal};
use flynn_core::port::{LogSelection, LogStream};
use flynn_core::value::Resources;

use crate::ground::Ground;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_started_drained_and_ended() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let script = "trap 'echo bye; exit 3' TERM; echo hello; echo oops >&2; while true; do sleep 0.05; done";
    let job = ground.service(script).await;
    assert_eq!(ground.cluster.up(job).await, None);
    ground.cluster.tell(job, Desired::Drain).await;
    ground.cluster.tell(job, Desired::Down).await;
    assert_eq!(ground.cluster.exit(job).await, Exit::Code(3));
    ground.cleared(job).await;

    let lines = agent.lines(ground.cluster.app, LogSelection::Job(job)).await;
    let of = |stream: LogStream| {
        lines.iter().filter(|line| line.stream == stream).map(|line| line.text.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(LogStream::Output(job)), ["hello", "bye"]);
    assert_eq!(of(LogStream::Errors(job)), ["oops"]);
    let platform = agent.lines(ground.cluster.app, LogSelection::App).await;
    let platform: Vec<_> = platform
        .iter()
        .filter(|line| line.stream == LogStream::Platform(ground.cluster.app))
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(platform, ["web.1 is up", "web.1 is told to end", "web.1 exited with code 3"]);
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ignores_the_request_to_end_is_killed() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let stop_timeout = Duration::from_secs(1);
    let program =
        ProcessType { stop_timeout, ..ground.script("trap '' TERM; echo deaf; while true; do sleep 1; done") };
    let job = ground.cluster.place(ground.cluster.service(program)).await;
    ground.cluster.up(job).await;
    let deaf = async || {
        let lines = agent.lines(ground.cluster.app, LogSelection::Job(job)).await;
        lines.iter().any(|line| line.text == "deaf").then_some(())
    };
    ground.cluster.until("it ignores signals", deaf).await;
    let told = Instant::now();
    ground.cluster.tell(job, Desired::Down).await;
    assert_eq!(ground.cluster.exit(job).await, Exit::Signal(9));
    assert!(told.elapsed() >= stop_timeout);
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_are_told_apart() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let crash = ground.service("echo last words; exit 7").await;
    let greedy = ground.service("x=x; while true; do x=$x$x; done").await;
    let program = ProcessType::new(vec!["no-such-program".into()]);
    let missing = ground.cluster.place(ground.cluster.service(program)).await;
    assert_eq!(ground.cluster.exit(crash).await, Exit::Code(7));
    assert_eq!(ground.cluster.exit(greedy).await, Exit::OutOfMemory);
    let Exit::NotStarted { reason } = ground.cluster.exit(missing).await else { panic!("it cannot have run") };
    assert!(reason.contains("no-such-program"), "{reason}");
    let lines = agent.lines(ground.cluster.app, LogSelection::Job(crash)).await;
    assert_eq!(lines.last().unwrap().text, "last words");
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_supervisor_dies_is_lost_and_taken_away() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let job = ground.service("echo there; sleep 1000").await;
    ground.cluster.up(job).await;
    ground.kill_supervisor(job);
    let lost = async || match ground.cluster.state(job).await {
        JobState::Lost { reason } => Some(reason),
        _ => None,
    };
    let reason = ground.cluster.until("the job is lost", lost).await;
    assert!(reason.contains("supervisor"), "{reason}");
    ground.cleared(job).await;
    let lines = agent.lines(ground.cluster.app, LogSelection::Job(job)).await;
    assert_eq!(lines[0].text, "there");
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_not_to_run_any_more_never_runs() {
    let ground = Ground::new(true).await;
    // Nobody is there while it is placed and called off.
    let agent = ground.start_contained();
    ground.cluster.known().await;
    agent.stop().await;
    let job = ground.service("echo never").await;
    ground.cluster.tell(job, Desired::Down).await;
    let agent = ground.start_contained();
    assert!(matches!(ground.cluster.exit(job).await, Exit::NotStarted { .. }));
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_does_not_know_is_taken_away() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let program = ProcessType { stop_timeout: Duration::from_millis(100), ..ground.script("sleep 1000") };
    let job = ground.cluster.place(ground.cluster.service(program)).await;
    ground.cluster.up(job).await;
    agent.kill().await;
    // The node was lost, and so the job; by now it is filed away.
    let state = JobState::Lost { reason: "the node was not heard of any more".to_owned() };
    let status = flynn_core::noun::JobStatus { state, since: flynn_core::Timestamp::EPOCH };
    ground.cluster.commit([flynn_core::change::Change::report(job, status)]).await;
    let agent = ground.start_contained();
    ground.cleared(job).await;
    ground.cluster.forget(job).await;
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_input_runs_at_once() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let job = ground.one_off("cat; echo $((6 * 7)); exit 5", Terminal::None, OneOffInput::Closed).await;
    assert_eq!(ground.cluster.exit(job).await, Exit::Code(5));
    let lines = agent.lines(ground.cluster.app, LogSelection::Job(job)).await;
    assert_eq!(lines[0].text, "42");
    ground.finish(agent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_started_and_ended_at_once() {
    let ground = Ground::new(true).await;
    let agent = ground.start_contained();
    let mut jobs = Vec::new();
    for _ in 0..8 {
        let mut job = ground.cluster.service(ground.script("trap 'exit 0' TERM; while true; do sleep 0.05; done"));
        job.resources = Resources { pids: 16, ..Resources::ZERO };
        jobs.push(ground.cluster.place(job).await);
    }
    for job in &jobs {
        ground.cluster.up(*job).await;
        let JobState::Up { health, .. } = ground.cluster.state(*job).await else { panic!("it was up") };
        assert_eq!(health, Health::Healthy);
    }
    for job in &jobs {
        ground.cluster.tell(*job, Desired::Down).await;
    }
    for job in jobs {
        assert_eq!(ground.cluster.exit(job).await, Exit::Code(0));
    }
    ground.finish(agent).await;
}
