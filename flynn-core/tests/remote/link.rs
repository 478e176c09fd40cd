//! The ways that nodes keep open.

mod faults;
pub(crate) mod pipes;

use std::time::Duration;

use flynn_core::JobId;
use flynn_core::client::{Credential, Endpoint};
use flynn_core::conformance::token_secret;
use flynn_core::link::{Frame, FrameReader, FrameWriter};
use flynn_core::name::EnvKey;
use flynn_core::noun::{Exit, Role, Terminal, TokenScope};
use flynn_core::port::{ExecRequest, LinkError, LinkRequest, LogQuery, LogSelection, NodeLink, TerminalSize};
use flynn_core::server::link::{LinkOptions, Links};
use flynn_core::{Change, Id};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use self::pipes::{Agent, Pipes, attach, linked, watched};
use super::people::{member, second_node, token};
use super::site::until;

const WELL_BEFORE: Duration = Duration::from_secs(15);

/// What an opener learns, which is not a way.
async fn refused(links: &Links, node: flynn_core::NodeId, request: LinkRequest) -> LinkError {
    match timeout(WELL_BEFORE, links.open(node, request)).await.expect("an answer") {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

fn requests() -> Vec<LinkRequest> {
    let job = JobId::NIL;
    let exec = ExecRequest {
        command: vec!["sh".into(), "-c".into(), "echo \"$A\"\n".into()],
        terminal: Terminal::Pty,
        env: [(EnvKey::new("A").unwrap(), String::from("\u{e9}\"\n"))].into(),
        size: Some(TerminalSize { rows: 24, columns: 80 }),
    };
    let logs = |source| LogQuery { app: Id::NIL, source, since: None, last: 100, follow: true };
    vec![
        LinkRequest::Attach(job),
        LinkRequest::Exec(job, exec),
        LinkRequest::Logs(logs(LogSelection::App)),
        LinkRequest::Logs(logs(LogSelection::Process("web".parse().unwrap()))),
        LinkRequest::Logs(logs(LogSelection::Job(job))),
        LinkRequest::Logs(logs(LogSelection::Build(Id::NIL))),
    ]
}

#[tokio::test]
async fn what_is_asked_for_is_opened_and_bytes_go_both_ways() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let mut agent = Agent::start(site.node(node).await, node, &links).await;
    for request in requests() {
        let mut opener = links.open(node, request.clone()).await.unwrap();
        let (asked, mut handler) = agent.pipes.next().await;
        assert_eq!(asked, request);
        opener.write_all(b"there").await.unwrap();
        let mut read = [0; 5];
        handler.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"there");
        handler.write_all(b"and back").await.unwrap();
        drop(handler);
        let mut rest = String::new();
        opener.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "and back", "what was said before the end is delivered");
    }
    agent.stop().await;
}

#[tokio::test]
async fn frames_go_over_a_way() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let mut agent = Agent::start(site.trusted(), node, &links).await;
    let opener = links.open(node, attach()).await.unwrap();
    let (_, handler) = agent.pipes.next().await;
    let (reader, writer) = tokio::io::split(opener);
    let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
    writer.write(Frame::Input(vec![1; 200_000])).await.unwrap();
    writer.write(Frame::InputEnd).await.unwrap();
    let answer = async {
        let (from, to) = tokio::io::split(handler);
        let (mut from, mut to) = (FrameReader::new(from), FrameWriter::new(to));
        let mut count = 0;
        while let Some(Frame::Input(bytes)) = from.next().await.unwrap() {
            count += bytes.len();
        }
        to.write(Frame::Exit(Exit::Code(count as i32))).await.unwrap();
        to.shutdown().await.unwrap();
        from
    };
    let (_held, exit) = tokio::join!(answer, reader.next());
    assert_eq!(exit.unwrap(), Some(Frame::Exit(Exit::Code(200_000))));
    agent.stop().await;
}

#[tokio::test]
async fn a_node_that_has_not_dialled_is_unreachable_at_once() {
    let (site, links) = linked(LinkOptions::default()).await;
    let started = Instant::now();
    let error = refused(&links, site.world.node, attach()).await;
    assert!(matches!(error, LinkError::Unreachable(node) if node == site.world.node), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_node_restarts() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let mut agent = Agent::start(site.node(node).await, node, &links).await;
    let mut opener = links.open(node, attach()).await.unwrap();
    let _handler = agent.pipes.next().await;
    agent.stop().await;
    assert!(matches!(opener.read(&mut [0; 1]).await, Ok(0) | Err(_)), "what was open ends with the node");
    until("the way is gone", async || links.nodes().is_empty()).await;
    assert!(matches!(refused(&links, node, attach()).await, LinkError::Unreachable(_)));
    let mut agent = Agent::start(site.node(node).await, node, &links).await;
    let _opener = links.open(node, attach()).await.unwrap();
    agent.pipes.next().await;
    agent.stop().await;
}

#[tokio::test]
async fn what_the_node_refuses_is_told_to_the_opener() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let agent = Agent::start(site.node(node).await, node, &links).await;
    let job: JobId = site.world.id();
    agent.pipes.refuse(LinkError::NotFound(job));
    assert!(matches!(refused(&links, node, attach()).await, LinkError::NotFound(of) if of == job));
    agent.pipes.refuse(LinkError::Refused { problem: "it has no terminal".into() });
    let error = refused(&links, node, attach()).await;
    assert!(matches!(&error, LinkError::Refused { problem } if problem == "it has no terminal"), "{error:?}");
    agent.pipes.refuse(LinkError::Unavailable { problem: "the disk is full".into() });
    let error = refused(&links, node, attach()).await;
    assert!(matches!(&error, LinkError::Unavailable { problem } if problem == "the disk is full"), "{error:?}");
    agent.pipes.refuse(LinkError::Broken("a pipe".into()));
    let error = refused(&links, node, attach()).await;
    assert!(matches!(&error, LinkError::Unavailable { problem } if problem.contains("a pipe")), "{error:?}");
    agent.stop().await;
}

#[tokio::test]
async fn each_node_gets_what_is_asked_of_it() {
    let (site, links) = linked(LinkOptions::default()).await;
    let (one, two) = (site.world.node, second_node(&site.world).await);
    let mut first = Agent::start(site.node(one).await, one, &links).await;
    let mut second = Agent::start(site.node(two).await, two, &links).await;
    let (mut to_one, mut to_two) = tokio::try_join!(links.open(one, attach()), links.open(two, attach())).unwrap();
    let ((_, mut on_one), (_, mut on_two)) = (first.pipes.next().await, second.pipes.next().await);
    on_one.write_all(b"1").await.unwrap();
    on_two.write_all(b"2").await.unwrap();
    assert_eq!((to_one.read_u8().await.unwrap(), to_two.read_u8().await.unwrap()), (b'1', b'2'));
    first.stop().await;
    until("the first is gone", async || links.nodes() == [two]).await;
    on_two.write_all(b"3").await.unwrap();
    assert_eq!(to_two.read_u8().await.unwrap(), b'3');
    second.stop().await;
}

#[tokio::test]
async fn only_the_node_itself_and_the_trusted_link() {
    let (site, links, turned_away) = watched(LinkOptions::default()).await;
    let (own, other) = (site.world.node, second_node(&site.world).await);
    let (_, _, owner) = member(&site.world, Role::Owner).await;
    let person = (site.server.endpoint(), Credential::Token(token_secret(owner)));
    let stranger: (Endpoint, Credential) = (site.server.endpoint(), Credential::Socket);
    let right = Agent::start(site.node(other).await, other, &links).await;
    for (credential, node) in [(site.node(other).await, own), (person, own), (stranger, own)] {
        let wrong = Agent::dial(credential, node);
        turned_away.twice_more().await;
        assert_eq!(links.nodes(), [other]);
        wrong.stop().await;
    }
    right.stop().await;
}

#[tokio::test]
async fn the_way_of_a_revoked_token_ends() {
    let (site, links, turned_away) = watched(LinkOptions::default().with_heartbeat(Duration::from_millis(30))).await;
    let node = site.world.node;
    let token = token(&site.world, TokenScope::Node(node), None).await;
    let credential = Credential::Token(token_secret(token));
    let agent = Agent::start((site.server.endpoint(), credential), node, &links).await;
    site.world.commit([Change::remove(token)]).await;
    until("the way is gone", async || links.nodes().is_empty()).await;
    turned_away.twice_more().await;
    assert!(links.nodes().is_empty(), "it is not let in again");
    agent.stop().await;
}

#[tokio::test]
async fn the_last_to_dial_is_the_node() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let mut first = Agent::start(site.node(node).await, node, &links).await;
    let mut held = links.open(node, attach()).await.unwrap();
    let (_, mut handler) = first.pipes.next().await;
    let second = Pipes::new();
    let mut second = Agent::dial_with(site.node(node).await, node, second);
    // The first dials again when it was replaced, so whichever is asked is the one that has the way.
    let opened = async {
        loop {
            let (opened, first, second) =
                tokio::join!(links.open(node, attach()), first.pipes.count(), second.pipes.count());
            if let Ok(opened) = opened
                && second > 0
            {
                return (opened, first);
            }
        }
    };
    let (_opened, _) = timeout(WELL_BEFORE, opened).await.expect("the second is asked");
    handler.write_all(b"x").await.unwrap();
    assert_eq!(held.read_u8().await.unwrap(), b'x', "what is open stays open");
    first.stop().await;
    second.pipes.drain();
    second.stop().await;
}

#[tokio::test]
async fn when_the_opener_hangs_up_the_handler_sees_the_end() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let mut agent = Agent::start(site.node(node).await, node, &links).await;
    let opener = links.open(node, attach()).await.unwrap();
    let (_, mut handler) = agent.pipes.next().await;
    drop(opener);
    let end = timeout(WELL_BEFORE, handler.read(&mut [0; 1])).await.expect("the end");
    assert_eq!(end.unwrap(), 0);
    // A handler that does not read is let go of as well, though what was sent waits before the end.
    let mut opener = links.open(node, attach()).await.unwrap();
    let (_, deaf) = agent.pipes.next().await;
    let _ = timeout(Duration::from_millis(200), opener.write_all(&vec![0; 64 << 20])).await;
    drop(opener);
    until("the handler is let go of", async || agent.pipes.open() == 0).await;
    drop(deaf);
    agent.stop().await;
}

#[tokio::test]
async fn when_the_opener_gives_up_before_it_is_open_the_handler_is_let_go_of() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let mut agent = Agent::start(site.node(node).await, node, &links).await;
    agent.pipes.hold(true);
    let opening = links.open(node, attach());
    tokio::select! {
        _ = opening => panic!("it was opened"),
        () = agent.pipes.held(1) => {}
    }
    agent.pipes.let_go().await;
    agent.pipes.hold(false);
    let _opener = links.open(node, attach()).await.unwrap();
    agent.pipes.next().await;
    agent.stop().await;
}

/// What a slow reader does not take, its writer keeps.
#[tokio::test]
async fn a_slow_reader_slows_its_writer() {
    let (site, links) = linked(LinkOptions::default()).await;
    let node = site.world.node;
    let mut agent = Agent::start(site.trusted(), node, &links).await;
    let mut opener = links.open(node, attach()).await.unwrap();
    let (_, mut handler) = agent.pipes.next().await;
    let total = 256 << 20;
    let (mut written, piece) = (0_usize, vec![b'y'; 64 << 10]);
    while timeout(Duration::from_millis(500), handler.write_all(&piece)).await.is_ok() {
        written += piece.len();
        assert!(written < total, "nothing holds the writer back");
    }
    assert!(written < 16 << 20, "{written} bytes are kept somewhere");
    let reading = tokio::spawn(async move {
        let mut sum = 0;
        let mut buffer = vec![0; 64 << 10];
        while sum < 8 << 20 {
            sum += opener.read(&mut buffer).await.unwrap();
        }
    });
    while !reading.is_finished() && handler.write_all(&piece).await.is_ok() {}
    reading.await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn ways_end_when_the_server_does() {
    let (sender, closing) = tokio::sync::watch::channel(false);
    let (site, links) = linked(LinkOptions::default().closing(closing)).await;
    let node = site.world.node;
    let agent = Agent::start(site.node(node).await, node, &links).await;
    sender.send(true).unwrap();
    until("the way is gone", async || links.nodes().is_empty()).await;
    agent.stop().await;
}
