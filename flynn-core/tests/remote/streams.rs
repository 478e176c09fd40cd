//! Tails: when they end, and what they cost.

use std::sync::Arc;
use std::time::Duration;

use flynn_core::client::{Credential, RemoteOptions, RemoteStore};
use flynn_core::conformance::{ManualClock, World, token_secret};
use flynn_core::noun::{App, Job, JobId, Role, TokenScope};
use flynn_core::port::{Commit, EventLog, Store, Tail, TailError};
use flynn_core::rule::Denial;
use flynn_core::server::peer::PeerOptions;
use flynn_core::{Change, Clock, MemoryStore, Retention, Revision, Scope, StoreError, Timestamp};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::harness::{OverHttp, Remote, Server, in_memory, routes};
use super::people::{member, token, world};

const PATIENCE: Duration = Duration::from_secs(30);

async fn next(tail: &mut Tail) -> Option<Result<Commit, TailError>> {
    tokio::time::timeout(PATIENCE, tail.next()).await.expect("the tail hangs")
}

async fn rename(world: &World<Remote>, name: &str) -> Revision {
    world.commit([Change::update(world.app, App::new(name.parse().unwrap()))]).await.revision
}

/// A tail of the team by a viewer, which has read up to the newest commit.
async fn followed(world: &World<Remote>) -> (flynn_core::noun::GrantId, flynn_core::noun::TokenId, Tail) {
    let (_, grant, token) = member(world, Role::Viewer).await;
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let mut tail = world.store.server.bearer(token).tail(Scope::Team(world.team), head);
    let revision = rename(world, "first").await;
    assert_eq!(next(&mut tail).await.unwrap().unwrap().revision, revision);
    (grant, token, tail)
}

#[tokio::test]
async fn the_tail_of_a_revoked_token_ends_with_the_commit_that_revoked_it() {
    let world = world().await;
    let (_, token, mut tail) = followed(&world).await;
    world.commit([Change::remove(token)]).await;
    rename(&world, "secret").await;
    assert!(matches!(next(&mut tail).await, Some(Err(TailError::NotAllowed(Denial::UnknownToken)))));
    assert!(next(&mut tail).await.is_none());
}

#[tokio::test]
async fn the_tail_of_who_leaves_a_team_ends_with_the_commit() {
    let world = world().await;
    let (grant, _, mut tail) = followed(&world).await;
    world.commit([Change::remove(grant)]).await;
    assert!(matches!(next(&mut tail).await, Some(Err(TailError::NotAllowed(Denial::Unreadable { .. })))));
}

/// Serves an own store with `options`, in which the node's agent has a token that ends after a minute.
pub(crate) async fn served(options: PeerOptions) -> (Arc<ManualClock>, World<MemoryStore>, Server) {
    struct Kept;
    #[async_trait::async_trait]
    impl flynn_core::conformance::StoreHarness for Kept {
        type Store = MemoryStore;
        async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
            Arc::new(MemoryStore::new(clock, retention))
        }
    }
    let world = World::new(&Kept).await;
    let clock = world.clock.clone();
    let server = Server::start(routes(world.store.clone(), clock.clone(), options)).await;
    (clock, world, server)
}

async fn agent_token(world: &World<MemoryStore>, expires: Option<Timestamp>) -> flynn_core::noun::TokenId {
    let id = world.id();
    let scope = TokenScope::Node(world.node);
    let spec = flynn_core::noun::Token { hash: token_secret(id).hash(), scope, label: "agent".into(), expires };
    world.commit([Change::create(id, flynn_core::TeamId::SYSTEM, spec)]).await;
    id
}

#[tokio::test]
async fn the_tail_of_an_expired_token_ends_at_a_heartbeat() {
    let (clock, world, server) = served(PeerOptions::default().with_heartbeat(Duration::from_millis(50))).await;
    let token = agent_token(&world, Some(clock.now() + Duration::from_secs(60))).await;
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let options = RemoteOptions { patience: Duration::from_secs(1), ..RemoteOptions::default() };
    let agent = RemoteStore::connect_with(server.endpoint(), Credential::Token(token_secret(token)), options).unwrap();
    let mut tail = agent.tail(Scope::Node(world.node), head);
    let idle = tokio::time::timeout(Duration::from_secs(2), tail.next()).await;
    assert!(idle.is_err(), "heartbeats keep it open for longer than its patience: {idle:?}");
    clock.advance(Duration::from_secs(60));
    assert!(matches!(next(&mut tail).await, Some(Err(TailError::NotAllowed(Denial::ExpiredToken)))));
}

#[tokio::test]
async fn a_server_that_shuts_down_ends_its_tails() {
    let (closing, closed) = watch::channel(false);
    let (_, world, server) = served(PeerOptions::default().closing(closed)).await;
    let mut tail = server.trusted().tail(Scope::All, Revision::ZERO);
    assert!(next(&mut tail).await.unwrap().is_ok());
    closing.send_replace(true);
    match next(&mut tail).await {
        Some(Err(TailError::Unavailable(source))) => assert_eq!(source.to_string(), "the server is shutting down"),
        other => panic!("{other:?}"),
    }
    drop(world);
}

#[tokio::test]
async fn streams_are_limited_in_number() {
    let (_, world, server) = served(PeerOptions::default().with_streams(1)).await;
    let store = server.trusted();
    let mut tail = store.tail(Scope::All, Revision::ZERO);
    assert!(next(&mut tail).await.unwrap().is_ok());
    let refused = store.snapshot(Scope::All).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    drop(tail);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while let Err(error) = store.snapshot(Scope::All).await {
        assert!(tokio::time::Instant::now() < deadline, "the place of a reader that left stays taken: {error}");
        tokio::task::yield_now().await;
    }
    drop(world);
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// Eight readers that stop, and some 600 MB of commits that they do not read.
#[tokio::test]
async fn readers_that_stop_cost_the_server_nothing_that_grows() {
    let retention = Retention { commits: 10, archived_per_app: 5, ..Retention::default() };
    let world = World::with_retention(&OverHttp(in_memory), retention).await;
    let head = world.store.snapshot(Scope::All).await.unwrap().revision;
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut reader = UnixStream::connect(&world.store.server.socket).await.unwrap();
        let request = format!("GET /peer/v1/tail?scope=all&after={head} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        reader.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 15];
        reader.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        readers.push(reader);
    }
    let mut large = world.one_off();
    Arc::make_mut(&mut large.workload).process.command = vec!["x".repeat(60_000)];
    let run = async |count: usize| {
        for _ in 0..count {
            let id: JobId = world.id();
            world.commit([Change::create(id, world.team, Job { ..large.clone() })]).await;
            world.commit([Change::remove(id)]).await;
        }
    };
    run(100).await;
    let before = resident_bytes();
    run(1_200).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MiB for readers that read nothing", grown >> 20);
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, async {
        // The tail has ended, but its connection has not.
        while !rest.ends_with(b"0\r\n\r\n") {
            readers[0].read_buf(&mut rest).await.unwrap();
        }
    });
    read.await.unwrap();
    let text = String::from_utf8(rest).unwrap();
    assert!(text.contains(r#""type":"compacted""#), "who reads on is told that it was too slow");
    let token = token(&world, TokenScope::Node(world.node), None).await;
    world.store.server.bearer(token).snapshot(Scope::Node(world.node)).await.unwrap();
}
