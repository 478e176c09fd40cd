use std::collections::BTreeMap;
use std::time::Duration;

use flynn_core::api::{JobQuery, NewExec, NewRun};
use flynn_core::client::{ApiError, Joined};
use flynn_core::link::{Frame, FrameReader, FrameWriter};
use flynn_core::noun::{Exit, Health, JobState, OneOffInput, Purpose, Role, Terminal, TokenScope};
use flynn_core::port::{LinkRequest, Signal, TerminalSize};
use flynn_core::{Change, Clock, JobId};
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::Served;
use crate::link::pipes::Agent;
use crate::people::{member, token};
use crate::site::until;

fn command(program: &str) -> NewRun {
    NewRun { command: vec![program.into()], terminal: true, ..NewRun::default() }
}

/// The node's side of a way.
fn speak(pipe: DuplexStream) -> (FrameReader<ReadHalf<DuplexStream>>, FrameWriter<WriteHalf<DuplexStream>>) {
    let (reader, writer) = split(pipe);
    (FrameReader::new(reader), FrameWriter::new(writer))
}

async fn next(joined: &mut Joined) -> Option<Frame> {
    timeout(Duration::from_secs(20), joined.output.next()).await.expect("a frame").unwrap()
}

fn problem(frame: Option<Frame>) -> String {
    match frame {
        Some(Frame::Problem(problem) | Frame::Exit(Exit::NotStarted { reason: problem })) => problem,
        other => panic!("{other:?}"),
    }
}

async fn node(served: &Served) -> Agent {
    let node = served.world().node;
    Agent::start(served.site.node(node).await, node, &served.links).await
}

fn up() -> JobState {
    JobState::Up { address: None, health: Health::Healthy }
}

#[tokio::test]
async fn a_program_is_run_and_joined() {
    let served = Served::new().await;
    let mut agent = node(&served).await;
    let api = served.person(Role::Developer).await;
    let env = BTreeMap::from([("TERM".into(), "xterm".into())]);
    let made = api.run("web", &NewRun { env, memory_bytes: Some(64 << 20), ..command("bash") }).await.unwrap();
    let spec = served.job(made.id).await;
    assert_eq!(spec.purpose, Purpose::OneOff { terminal: Terminal::Pty, input: OneOffInput::Attached });
    assert_eq!((spec.release, spec.resources.memory_bytes), (served.world().release, 64 << 20));
    assert_eq!(spec.workload.process.command, ["bash"]);
    assert_eq!((spec.workload.app.as_str(), spec.workload.release), ("web", 1));
    assert!(spec.workload.env.keys().any(|key| key.as_str() == "TERM"), "{:?}", spec.workload.env);
    // It is not placed yet: what is said before that waits.
    let mut joined = api.attach("web", &made.id.to_string()).await.unwrap();
    let size = TerminalSize { rows: 40, columns: 120 };
    joined.input.send(Frame::Resize(size)).await.unwrap();
    joined.input.send(Frame::Input(b"exit 3\n".to_vec())).await.unwrap();
    served.place(made.id).await;
    let (request, pipe) = agent.pipes.next().await;
    assert_eq!(request, LinkRequest::Attach(made.id));
    let (mut reader, mut writer) = speak(pipe);
    assert_eq!(reader.next().await.unwrap(), Some(Frame::Resize(size)));
    assert_eq!(reader.next().await.unwrap(), Some(Frame::Input(b"exit 3\n".to_vec())));
    joined.input.send(Frame::Signal(Signal::Int)).await.unwrap();
    joined.input.send(Frame::InputEnd).await.unwrap();
    assert_eq!(reader.next().await.unwrap(), Some(Frame::Signal(Signal::Int)));
    assert_eq!(reader.next().await.unwrap(), Some(Frame::InputEnd));
    writer.write(Frame::Output(vec![b'x'; 200_000])).await.unwrap();
    writer.write(Frame::Exit(Exit::Code(3))).await.unwrap();
    let mut received = 0;
    loop {
        match next(&mut joined).await {
            Some(Frame::Output(bytes)) => received += bytes.len(),
            other => {
                assert_eq!(other, Some(Frame::Exit(Exit::Code(3))));
                break;
            }
        }
    }
    assert_eq!((received, next(&mut joined).await), (200_000, None));
    agent.stop().await;
}

#[tokio::test]
async fn a_program_is_run_beside_a_job() {
    let served = Served::new().await;
    let mut agent = node(&served).await;
    let api = served.person(Role::Developer).await;
    let job = served.world().create_job(1).await;
    served.place(job).await;
    served.report(job, up()).await;
    let env = BTreeMap::from([("A".into(), "1".into())]);
    let wish = NewExec { command: vec!["ps".into()], terminal: true, env, rows: Some(5), columns: Some(7) };
    let mut joined = api.exec("web", "web.1", &wish).await.unwrap();
    let (request, pipe) = agent.pipes.next().await;
    let LinkRequest::Exec(of, asked) = request else { panic!("{request:?}") };
    assert_eq!((of, asked.terminal, asked.command), (job, Terminal::Pty, wish.command.clone()));
    assert_eq!((asked.size, asked.env.len()), (Some(TerminalSize { rows: 5, columns: 7 }), 1));
    let (_reader, mut writer) = speak(pipe);
    writer.write(Frame::Errors(b"no".to_vec())).await.unwrap();
    writer.write(Frame::Exit(Exit::Signal(9))).await.unwrap();
    assert_eq!(next(&mut joined).await, Some(Frame::Errors(b"no".to_vec())));
    assert_eq!(next(&mut joined).await, Some(Frame::Exit(Exit::Signal(9))));
    let mut joined = api.exec("web", "web.1", &NewExec::default()).await.unwrap();
    assert!(problem(next(&mut joined).await).contains("say which program"));
    agent.stop().await;
}

#[tokio::test]
async fn closing_hangs_up() {
    let served = Served::new().await;
    let mut agent = node(&served).await;
    let api = served.person(Role::Developer).await;
    let made = api.run("web", &command("sleep")).await.unwrap();
    served.place(made.id).await;
    let joined = api.attach("web", &made.id.to_string()).await.unwrap();
    let (_, pipe) = agent.pipes.next().await;
    drop(joined);
    let (mut reader, _writer) = speak(pipe);
    let end = timeout(Duration::from_secs(20), reader.next()).await.expect("the end");
    assert_eq!(end.unwrap(), None);
    agent.stop().await;
}

#[tokio::test]
async fn a_job_that_cannot_start_says_why() {
    let served = Served::new().await;
    let api = served.person(Role::Developer).await;
    let attached = async |state: JobState| {
        let made = api.run("web", &command("bash")).await.unwrap();
        served.place(made.id).await;
        let mut joined = api.attach("web", &made.id.to_string()).await.unwrap();
        served.report(made.id, state).await;
        next(&mut joined).await
    };
    let exited = |exit| JobState::Exited(exit);
    let reason = String::from("there is no such program");
    let refused = problem(attached(exited(Exit::NotStarted { reason: reason.clone() })).await);
    assert!(refused.contains(&reason), "{refused}");
    let lost = problem(attached(JobState::Lost { reason: "the node burnt down".into() }).await);
    assert!(lost.contains("burnt down"), "{lost}");
    assert_eq!(attached(exited(Exit::Code(4))).await, Some(Frame::Exit(Exit::Code(4))));
}

#[tokio::test]
async fn a_way_that_breaks_ends_as_the_job_did() {
    let served = Served::new().await;
    let mut agent = node(&served).await;
    let api = served.person(Role::Developer).await;
    let made = api.run("web", &command("bash")).await.unwrap();
    served.place(made.id).await;
    let mut joined = api.attach("web", &made.id.to_string()).await.unwrap();
    drop(agent.pipes.next().await);
    served.report(made.id, JobState::Exited(Exit::OutOfMemory)).await;
    assert_eq!(next(&mut joined).await, Some(Frame::Exit(Exit::OutOfMemory)));
    let made = api.run("web", &command("bash")).await.unwrap();
    served.place(made.id).await;
    let mut joined = api.attach("web", &made.id.to_string()).await.unwrap();
    let _open = agent.pipes.next().await;
    served.report(made.id, JobState::Lost { reason: "the node is gone".into() }).await;
    assert!(problem(next(&mut joined).await).contains("the node is gone"));
    agent.stop().await;
}

#[tokio::test]
async fn only_who_may_run_may_join() {
    let served = Served::new().await;
    let job: JobId = served.world().create_job(1).await;
    let viewer = served.person(Role::Viewer).await;
    let run = viewer.run("web", &command("bash")).await;
    assert!(matches!(run, Err(ApiError::NotAllowed { .. })), "{run:?}");
    let attach = viewer.attach("web", &job.to_string()).await;
    assert!(matches!(attach, Err(ApiError::NotAllowed { .. })), "{attach:?}");
    let exec = viewer.exec("web", "web.1", &NewExec { command: vec!["ps".into()], ..NewExec::default() }).await;
    assert!(matches!(exec, Err(ApiError::NotAllowed { .. })), "{exec:?}");
    assert_eq!(viewer.jobs("web", &JobQuery::default()).await.unwrap().items.len(), 1, "nothing was made");
}

#[tokio::test]
async fn what_is_open_is_closed_with_the_server() {
    let served = Served::new().await;
    let mut agent = node(&served).await;
    let api = served.person(Role::Developer).await;
    let made = api.run("web", &command("bash")).await.unwrap();
    served.place(made.id).await;
    let mut joined = api.attach("web", &made.id.to_string()).await.unwrap();
    let _open = agent.pipes.next().await;
    served.streams.close().await;
    assert_eq!(next(&mut joined).await, None);
    until("the way is closed", async || agent.pipes.open() == 0).await;
    agent.stop().await;
}

#[tokio::test]
async fn who_may_not_run_any_more_is_hung_up_on() {
    let served = Served::new().await;
    let mut agent = node(&served).await;
    let lapsed = served.world().clock.now() + Duration::from_secs(3_600);
    let (user, grant, kept) = member(served.world(), Role::Developer).await;
    for how in ["revoked", "expired", "demoted"] {
        let expires = (how == "expired").then_some(lapsed);
        let shown = token(served.world(), TokenScope::User(user), expires).await;
        served.seen().await;
        let (api, other) = (served.bearer(shown), served.bearer(kept));
        let made = api.run("web", &command("bash")).await.unwrap();
        served.place(made.id).await;
        let mut joined = api.attach("web", &made.id.to_string()).await.unwrap();
        let open = agent.pipes.next().await;
        let mut beside = other.attach("web", &made.id.to_string()).await.unwrap();
        let _beside = agent.pipes.next().await;
        let changes = match how {
            "revoked" => vec![Change::remove(shown)],
            "demoted" => vec![Change::remove(grant)],
            _ => {
                served.world().clock.set(lapsed + Duration::from_secs(1));
                Vec::new()
            }
        };
        if !changes.is_empty() {
            served.commit(changes).await;
        }
        let said = problem(next(&mut joined).await);
        assert!(!said.is_empty(), "{how}");
        assert_eq!(next(&mut joined).await, None, "{how}");
        let (mut reader, _writer) = speak(open.1);
        let end = timeout(Duration::from_secs(20), reader.next()).await.expect("the way is closed");
        assert_eq!(end.unwrap(), None, "{how}");
        // Only who lost the right is hung up on.
        let stays = timeout(Duration::from_secs(3), beside.output.next()).await;
        assert_eq!(stays.is_err(), how != "demoted", "{how}: {stays:?}");
    }
    agent.stop().await;
}
