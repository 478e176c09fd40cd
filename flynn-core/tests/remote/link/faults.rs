//! Ways that break, stall or are not taken.

use std::net::SocketAddr;
use std::time::Duration;

use flynn_core::client::{Credential, Endpoint, RemoteOptions};
use flynn_core::conformance::token_secret;
use flynn_core::noun::TokenScope;
use flynn_core::port::{LinkError, NodeLink};
use flynn_core::server::link::{LinkOptions, Links};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::pipes::{Agent, Pipes, attach, linked};
use super::refused;
use crate::harness::Server;
use crate::people::token;
use crate::site::{Site, authenticator, local, until};

const BEAT: Duration = Duration::from_millis(50);

/// Passes bytes on until it is told to stall, after which it takes them and does nothing.
struct Wire {
    address: SocketAddr,
    stalled: watch::Sender<bool>,
    _task: JoinSet<()>,
}

impl Wire {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stalled = watch::Sender::new(false);
        let (mut task, watch) = (JoinSet::new(), stalled.subscribe());
        task.spawn(async move {
            let mut passing = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let watch = watch.clone();
                passing.spawn(async move {
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = TcpStream::connect(server).await.unwrap().into_split();
                    tokio::join!(pass(from_client, to_server, watch.clone()), pass(from_server, to_client, watch));
                });
            }
        });
        Self { address, stalled, _task: task }
    }
}

/// Neither bytes nor the end get through a stalled wire, and what it holds stays open.
async fn pass(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, stalled: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if *stalled.borrow() {
            std::future::pending::<()>().await;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}

#[tokio::test]
async fn a_stalled_way_is_noticed_on_both_sides() {
    let (site, links) = linked(LinkOptions::default().with_heartbeat(BEAT)).await;
    let node = site.world.node;
    let wire = Wire::to(site.server.tcp).await;
    let (_, credential) = site.node(node).await;
    let through: Endpoint = format!("http://{}", wire.address).parse().unwrap();
    let options = RemoteOptions { patience: 4 * BEAT, ..RemoteOptions::default() };
    let mut agent = Agent::patient((through, credential), node, Pipes::new(), options);
    until("the node is linked", async || links.nodes() == [node]).await;
    let mut opener = links.open(node, attach()).await.unwrap();
    let _handler = agent.pipes.next().await;
    wire.stalled.send_replace(true);
    until("the hub notices", async || links.nodes().is_empty()).await;
    assert!(matches!(refused(&links, node, attach()).await, LinkError::Unreachable(_)));
    let end = timeout(Duration::from_secs(10), opener.read(&mut [0; 1])).await.expect("what is open ends");
    assert!(end.is_err(), "it ended as if all were well");
    wire.stalled.send_replace(false);
    until("the node has noticed too, and dials again", async || links.nodes() == [node]).await;
    let _opener = links.open(node, attach()).await.unwrap();
    agent.pipes.next().await;
    agent.stop().await;
}

#[tokio::test]
async fn when_the_hub_restarts_its_nodes_dial_again() {
    let world = local().await;
    let routes = |links: &Links| links.routes(world.store.clone(), authenticator(&world));
    let links = Links::new(LinkOptions::default());
    let server = Server::start(routes(&links)).await;
    let address = server.tcp;
    let own = token(&world, TokenScope::Node(world.node), None).await;
    let credential = Credential::Token(token_secret(own));
    let mut agent = Agent::start((server.endpoint(), credential), world.node, &links).await;
    let _opener = links.open(world.node, attach()).await.unwrap();
    let (_, mut handler) = agent.pipes.next().await;
    drop((server, links, _opener));
    assert_eq!(handler.read(&mut [0; 1]).await.unwrap(), 0, "what was open ends with the hub");
    let links = Links::new(LinkOptions::default());
    let listener = listen_again(address).await;
    let directory = tempfile::tempdir().unwrap();
    let _server = Server::on(routes(&links), listener, directory.path().join("peer.sock")).await;
    until("the node is linked", async || links.nodes() == [world.node]).await;
    let _opener = links.open(world.node, attach()).await.unwrap();
    agent.pipes.next().await;
    agent.stop().await;
}

async fn listen_again(address: SocketAddr) -> TcpListener {
    let listener = std::sync::Mutex::new(None);
    until("the port is free", async || {
        let bound = TcpListener::bind(address).await.ok();
        let is_bound = bound.is_some();
        *listener.lock().unwrap() = bound;
        is_bound
    })
    .await;
    listener.into_inner().unwrap().unwrap()
}

/// A node that keeps a way open and never dials for anything.
async fn deaf(site: &Site, links: &Links) -> TcpStream {
    let node = site.world.node;
    let mut stream = TcpStream::connect(site.server.tcp).await.unwrap();
    let secret = token_secret(token(&site.world, TokenScope::Node(node), None).await);
    let head =
        format!("GET /peer/v1/link/{node} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", secret.reveal());
    stream.write_all(head.as_bytes()).await.unwrap();
    until("the node is linked", async || links.nodes() == [node]).await;
    stream
}

/// Waits until so many requests have arrived.
async fn asked(stream: &mut TcpStream, count: usize) {
    let mut seen = Vec::new();
    while String::from_utf8_lossy(&seen).matches("\"open\"").count() < count {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_the_node_does_not_dial_for_is_given_up() {
    let (site, links) = linked(LinkOptions::default().with_claim(Duration::from_millis(100))).await;
    let _stream = deaf(&site, &links).await;
    let error = refused(&links, site.world.node, attach()).await;
    assert!(matches!(&error, LinkError::Unavailable { problem } if problem.contains("100ms")), "{error:?}");
}

#[tokio::test]
async fn only_so_much_waits_for_a_node() {
    let (site, links) = linked(LinkOptions::default().with_pending(3)).await;
    let mut stream = deaf(&site, &links).await;
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let (links, node) = (links.clone(), site.world.node);
        waiting.spawn(async move { links.open(node, attach()).await.map(drop) });
    }
    asked(&mut stream, 3).await;
    let full = refused(&links, site.world.node, attach()).await;
    assert!(matches!(&full, LinkError::Unavailable { problem } if problem.contains("before")), "{full:?}");
    waiting.shutdown().await;
    let room = async || timeout(Duration::from_millis(100), links.open(site.world.node, attach())).await.is_err();
    until("there is room again", room).await;
}

#[tokio::test]
async fn those_who_wait_learn_that_the_way_has_ended() {
    let (site, links) = linked(LinkOptions::default()).await;
    let mut stream = deaf(&site, &links).await;
    let opening = tokio::spawn({
        let (links, node) = (links.clone(), site.world.node);
        async move { links.open(node, attach()).await.map(drop) }
    });
    asked(&mut stream, 1).await;
    drop(stream);
    let error = timeout(Duration::from_secs(10), opening).await.expect("an answer").unwrap().unwrap_err();
    assert!(matches!(error, LinkError::Broken(_)), "{error:?}");
}
