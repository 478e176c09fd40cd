//! The end of a proxy, and its limit of clients.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::instance::{Instance, read_request};
use crate::rig::{Client, Rig, settings, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// An instance that answers when it is told to.
async fn patient() -> (Instance, watch::Sender<bool>) {
    let (tell, told) = watch::channel(false);
    let instance = Instance::script(move |stream| {
        let mut told = told.clone();
        async move {
            let mut peer = Client::over(stream);
            while read_request(&mut peer).await.is_some() {
                if told.wait_for(|told| *told).await.is_err() {
                    return;
                }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await;
    (instance, tell)
}

#[tokio::test]
async fn a_stopping_proxy_ends_what_runs_and_nothing_else() {
    let (instance, answer) = patient().await;
    let mut rig = Rig::to(&[instance.address]).await;
    let (mut idle, mut fresh, mut running) = (rig.client().await, rig.client().await, rig.client().await);
    answer.send_replace(true);
    idle.send(GET).await;
    assert_eq!(idle.answer().await.status, 200);
    answer.send_replace(false);
    running.send(GET).await;
    until(|| rig.lines.all().len() == 1).await;
    let connected = instance.connections.load(Ordering::SeqCst);
    assert!(connected >= 1);
    // The running request is at the instance before the stop begins.
    let host = flynn_router::table::Host::parse("a.example").unwrap();
    let target = flynn_router::table::RouteTable::lookup(&*rig.table, &host, "/").unwrap();
    until(|| target.target().state().backends[0].in_flight() == 1).await;
    rig.begin_stop();
    assert_eq!(idle.rest().await, b"");
    assert_eq!(fresh.rest().await, b"");
    soon(async {
        while TcpStream::connect(rig.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    answer.send_replace(true);
    let last = running.answer().await;
    assert_eq!((last.status, last.field("connection").unwrap().as_str()), (200, "close"));
    assert_eq!(running.rest().await, b"");
    assert_eq!(rig.stopped().await.cut, 0);
    until(|| target.target().state().backends[0].in_flight() == 0).await;
}

#[tokio::test]
async fn what_does_not_end_is_cut_off() {
    let (instance, _never) = patient().await;
    let mut rig =
        Rig::to_with(&[instance.address], settings(|settings| settings.drain = Duration::from_millis(200))).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    until(|| instance.connections.load(Ordering::SeqCst) == 1).await;
    rig.begin_stop();
    let lines = rig.lines.clone();
    assert_eq!(rig.stopped().await.cut, 1);
    assert_eq!(client.rest().await, b"");
    assert!(lines.wait(1).await[0].contains("code=R16"));
}

#[tokio::test]
async fn clients_beyond_the_limit_wait_their_turn() {
    let instance = Instance::hello().await;
    let rig = Rig::to_with(&[instance.address()], settings(|settings| settings.connections = 2)).await;
    let (mut first, second, mut third) = (rig.client().await, rig.client().await, rig.client().await);
    first.send(GET).await;
    assert_eq!(first.answer().await.status, 200);
    third.send(GET).await;
    let early = tokio::time::timeout(Duration::from_millis(200), third.head()).await;
    assert!(early.is_err(), "the third client is served while two are there");
    drop(second);
    assert_eq!(third.answer().await.status, 200);
    drop((first, third));
    rig.end().await;
}

#[tokio::test]
async fn listeners_on_several_threads_share_places_and_end_one_by_one() {
    let instance = Instance::hello().await;
    let rig = Rig::to_with(&[instance.address()], settings(|settings| settings.connections = 2)).await;
    let other = rig.on_a_thread();
    let (mut first, mut second) = (rig.client().await, rig.client().await);
    for client in [&mut first, &mut second] {
        client.send(GET).await;
        assert_eq!(client.answer().await.status, 200);
    }
    let mut third = Client::connect(other.address).await;
    third.send(GET).await;
    // Those who wait for nothing give their places up, whichever listener they came by.
    assert_eq!(third.answer().await.status, 200);
    assert!(first.rest().await.is_empty() && second.rest().await.is_empty());
    other.end().await;
    assert!(third.rest().await.is_empty());
    assert_eq!(rig.get(GET).await.status, 200);
    assert_eq!(instance.seen().len(), 4);
    rig.end().await;
}
