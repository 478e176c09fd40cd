//! WebSocket and other protocols through a tunnel.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::instance::{Instance, read_request};
use crate::rig::{Client, Rig, settings, soon, until};

const UPGRADE: &str =
    "GET /t HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo/1\r\n\r\n";

/// Speaks `echo/1` after an upgrade: returns what it gets, and ends when it gets the end.
async fn echo() -> Instance {
    Instance::script(|stream| async move {
        let mut peer = Client::over(stream);
        let request = read_request(&mut peer).await.unwrap();
        assert_eq!(request.field("upgrade").unwrap(), "echo/1");
        assert_eq!(request.field("connection").unwrap(), "upgrade");
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\nhi:").await;
        let (mut reader, mut writer) = peer.stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.write_all(b":bye").await;
    })
    .await
}

fn in_flight(rig: &Rig) -> usize {
    let host = flynn_router::table::Host::parse("a.example").unwrap();
    let target = flynn_router::table::RouteTable::lookup(&*rig.table, &host, "/").unwrap();
    target.target().state().backends.iter().map(|backend| backend.in_flight()).sum()
}

#[tokio::test]
async fn websockets_carry_messages_of_any_size() {
    let instance = Instance::script(|stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    let stream = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let (mut socket, answer) = soon(tokio_tungstenite::client_async("ws://a.example/chat", stream)).await.unwrap();
    assert_eq!(answer.status().as_u16(), 101);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        let message = Message::binary(vec![7; size]);
        soon(socket.send(message.clone())).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), message);
    }
    assert_eq!(in_flight(&rig), 1);
    soon(socket.close(None)).await.unwrap();
    while soon(socket.next()).await.is_some() {}
    drop(socket);
    let line = rig.lines.wait(1).await.pop().unwrap();
    assert!(line.starts_with("at=info") && line.contains(" status=101 bytes=1"), "{line}");
    until(|| in_flight(&rig) == 0).await;
    rig.end().await;
}

#[tokio::test]
async fn a_tunnel_passes_what_is_sent_early_and_closes_by_halves() {
    let instance = echo().await;
    let rig = Rig::to(&[instance.address]).await;
    let mut client = rig.client().await;
    // Bytes that came with the request belong to the other protocol, whatever they look like.
    client.send(format!("{UPGRADE}GET / HTTP/1.1\r\n\r\nearly ")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("upgrade").unwrap().as_str()), (101, "echo/1"));
    client.send("late").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"hi:GET / HTTP/1.1\r\n\r\nearly late:bye");
    assert!(rig.lines.wait(1).await[0].contains(" status=101 bytes=35 "), "{:?}", rig.lines.all());
    rig.end().await;
}

#[tokio::test]
async fn a_refused_upgrade_leaves_an_ordinary_connection() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    client.send(format!("{UPGRADE}GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
    for _ in 0..2 {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    }
    client.send(UPGRADE).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(instance.seen().len(), 3);
    rig.end().await;
}

#[tokio::test]
async fn a_quiet_tunnel_ends_in_time() {
    let instance = echo().await;
    let rig = Rig::to_with(&[instance.address], settings(|settings| settings.idle = Duration::from_millis(200))).await;
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.rest().await, b"hi:");
    assert!(rig.lines.wait(1).await[0].contains("code=R24"), "{:?}", rig.lines.all());
    rig.end().await;
}

#[tokio::test]
async fn a_tunnel_keeps_a_stopping_router_waiting() {
    let instance = echo().await;
    let mut rig = Rig::to(&[instance.address]).await;
    let mut client = rig.client().await;
    client.send(UPGRADE).await;
    assert_eq!(client.answer().await.status, 101);
    rig.begin_stop();
    assert_eq!(client.exactly(3).await.unwrap(), b"hi:");
    for word in ["one", "two"] {
        client.send(word).await;
        assert_eq!(client.exactly(3).await.unwrap(), word.as_bytes());
    }
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b":bye");
    assert_eq!(rig.stopped().await.cut, 0);
}
