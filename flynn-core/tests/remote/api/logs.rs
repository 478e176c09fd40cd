use std::time::Duration;

use flynn_core::api::{LogEntry, LogQuery};
use flynn_core::client::{ApiError, LogNews, Logs};
use flynn_core::noun::{Build, BuildId, BuildIntent, BuildState, BuildStatus, Role};
use flynn_core::port::LogStream;
use flynn_core::value::{Digest, Resources};
use flynn_core::{Change, Clock, JobId};
use tokio::time::timeout;

use super::Served;
use super::node::Node;
use crate::people::second_node;

/// All times of these tests begin here, which is when the world was made.
const START: u64 = 1_800_000_000_000;

async fn next(logs: &mut Logs) -> LogNews {
    timeout(Duration::from_secs(20), logs.next()).await.expect("news").unwrap().expect("more")
}

async fn line(logs: &mut Logs) -> LogEntry {
    match next(logs).await {
        LogNews::Line(line) => line,
        other => panic!("{other:?}"),
    }
}

async fn texts(logs: &mut Logs, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(line(logs).await.text);
    }
    texts
}

/// Two nodes, each with a job of the app.
async fn two_nodes(served: &Served) -> ([Node; 2], [JobId; 2]) {
    let (one, two) = (served.world().node, second_node(served.world()).await);
    let start = async |node| Node::start(served.site.node(node).await, node, &served.links).await;
    let nodes = [start(one).await, start(two).await];
    let jobs = [served.world().create_job(1).await, served.world().create_job(2).await];
    served.place(jobs[0]).await;
    (nodes, jobs)
}

#[tokio::test]
async fn lines_of_all_nodes_are_merged_by_time() {
    let served = Served::new().await;
    let ([one, two], jobs) = two_nodes(&served).await;
    let api = served.person(Role::Viewer).await;
    for at in 0..10 {
        [&one, &two][(at % 2) as usize].put(jobs[(at % 2) as usize], START + at, &at.to_string());
    }
    one.say(LogStream::Errors(jobs[0]), START + 10, "e");
    one.say(LogStream::Platform(served.world().app), START + 11, "p");
    let mut logs = api.logs("web", &LogQuery { lines: Some(5), ..LogQuery::default() }).await.unwrap();
    assert_eq!(texts(&mut logs, 3).await, ["7", "8", "9"]);
    let errors = line(&mut logs).await;
    assert_eq!((errors.name.as_str(), errors.release, errors.stream.as_str()), ("web.1", Some(1), "errors"));
    assert_eq!((errors.job, errors.time.0.as_millis()), (Some(jobs[0]), START + 10));
    let platform = line(&mut logs).await;
    assert_eq!((platform.name.as_str(), platform.job), ("flynn", None));
    assert!(matches!(next(&mut logs).await, LogNews::End(_)));
    assert_eq!(logs.next().await.unwrap(), None);
    let of_one = LogQuery { job: Some("web.2".into()), lines: Some(2), ..LogQuery::default() };
    let mut logs = api.logs("web", &of_one).await.unwrap();
    assert_eq!(texts(&mut logs, 2).await, ["7", "9"]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_comes_is_followed_and_shown_once() {
    let served = Served::new().await;
    let ([one, two], jobs) = two_nodes(&served).await;
    let api = served.person(Role::Viewer).await;
    let now = served.world().clock.now().as_millis();
    one.put(jobs[0], now, "old");
    one.put(jobs[0], now, "old");
    let follow = LogQuery { follow: true, ..LogQuery::default() };
    let mut logs = api.logs("web", &follow).await.unwrap();
    assert_eq!(texts(&mut logs, 2).await, ["old", "old"]);
    two.put(jobs[1], now + 5, "first");
    assert_eq!(line(&mut logs).await.text, "first");
    one.put(jobs[0], now, "old");
    assert_eq!(line(&mut logs).await.text, "old", "a third line like the two before");
    // The agent restarts, and a line is written while nobody reads.
    let (node, links) = (served.world().node, &served.links);
    one.put(jobs[0], now + 7, "a");
    assert_eq!(line(&mut logs).await.text, "a");
    let one = one.restart(served.site.node(node).await, node, links).await;
    one.put(jobs[0], now + 7, "b");
    assert_eq!(line(&mut logs).await.text, "b");
    two.put(jobs[1], now + 8, "c");
    assert_eq!(line(&mut logs).await.text, "c");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_node_that_comes_later_is_followed_too() {
    let served = Served::new().await;
    let api = served.person(Role::Viewer).await;
    let follow = LogQuery { follow: true, ..LogQuery::default() };
    let mut logs = api.logs("web", &follow).await.unwrap();
    let node = second_node(served.world()).await;
    served.seen().await;
    let later = Node::start(served.site.node(node).await, node, &served.links).await;
    let job = served.world().create_job(1).await;
    later.put(job, served.world().clock.now().as_millis(), "here");
    let said = line(&mut logs).await;
    assert_eq!((said.text.as_str(), said.name.as_str()), ("here", "web.1"));
    later.stop().await;
}

#[tokio::test]
async fn missing_lines_are_said_to_be_missing() {
    let served = Served::new().await;
    let job = served.world().create_job(1).await;
    served.place(job).await;
    let api = served.person(Role::Viewer).await;
    let mut logs = api.logs("web", &LogQuery::default()).await.unwrap();
    let LogNews::Notice(notice) = next(&mut logs).await else { panic!("no notice") };
    assert!(notice.contains("node n1") && notice.contains("not connected"), "{notice}");
    assert!(matches!(next(&mut logs).await, LogNews::End(_)));
}

#[tokio::test]
async fn the_log_of_a_build_ends_with_it() {
    let served = Served::new().await;
    let node = Node::start(served.site.node(served.world().node).await, served.world().node, &served.links).await;
    let world = served.world();
    let id: BuildId = world.id();
    let build = Build {
        app: world.app,
        number: 1,
        source: Digest::from_bytes([2; 32]),
        commit: None,
        branch: None,
        resources: Resources { cpu_millis: 100, memory_bytes: 1 << 20, ..Resources::ZERO },
        node: None,
        desired: BuildIntent::Finish,
    };
    served.commit([Change::create(id, world.team, build.clone())]).await;
    let api = served.person(Role::Viewer).await;
    let mut logs = api.build_logs("web", "1").await.unwrap();
    let report = |state| Change::report(id, BuildStatus { state, since: world.clock.now() });
    let placed = Build { node: Some(world.node), ..build };
    served.commit([Change::update(id, placed), report(BuildState::Assigned)]).await;
    served.commit([report(BuildState::Running)]).await;
    node.say(LogStream::Build(id), START, "compiling");
    assert_eq!(line(&mut logs).await.text, "compiling");
    node.say(LogStream::Build(id), START + 1, "failed");
    served.commit([report(BuildState::Failed { step: "compile".into(), reason: "no".into() })]).await;
    assert_eq!(line(&mut logs).await.text, "failed");
    let LogNews::Built(built) = next(&mut logs).await else { panic!("no end") };
    assert_eq!((built.state.as_str(), built.step.as_deref()), ("failed", Some("compile")));
    // Once more, when it is over.
    let mut logs = api.build_logs("web", "1").await.unwrap();
    assert_eq!(texts(&mut logs, 2).await, ["compiling", "failed"]);
    assert!(matches!(next(&mut logs).await, LogNews::Built(_)));
    node.stop().await;
}

#[tokio::test]
async fn logs_are_for_those_who_may_read_the_app() {
    let served = Served::new().await;
    let api = served.person(Role::Viewer).await;
    let none = api.logs("nothing", &LogQuery::default()).await;
    assert!(matches!(none, Err(ApiError::NotFound { .. })), "{none:?}");
    let many = api.logs("web", &LogQuery { lines: Some(10_001), ..LogQuery::default() }).await;
    assert!(matches!(many, Err(ApiError::Invalid { .. })), "{many:?}");
}

#[tokio::test]
async fn what_is_followed_ends_with_the_server() {
    let served = Served::new().await;
    let api = served.person(Role::Viewer).await;
    let mut logs = api.logs("web", &LogQuery { follow: true, ..LogQuery::default() }).await.unwrap();
    served.streams.close().await;
    let LogNews::End(text) = next(&mut logs).await else { panic!("no end") };
    assert!(text.contains("shutting down"), "{text}");
}
