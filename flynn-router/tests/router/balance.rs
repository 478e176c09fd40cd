//! Which instances requests go to, over real connections.

use std::net::SocketAddr;
use std::time::Duration;

use flynn_core::noun::Traffic;
use tokio::net::TcpListener;

use crate::instance::{Instance, read_request};
use crate::rig::{Client, Rig, settings};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An instance that takes each request and closes without an answer.
async fn broken() -> Instance {
    Instance::script(|stream| async move {
        read_request(&mut Client::over(stream)).await;
    })
    .await
}

#[tokio::test]
async fn who_keeps_failing_is_passed_over() {
    let (good, bad) = (Instance::hello().await, broken().await);
    let rig = Rig::to(&[good.address(), bad.address]).await;
    let mut failed = 0;
    for _ in 0..100 {
        failed += usize::from(rig.get(GET).await.status != 200);
    }
    // Five in a row, with some luck of the other in between, and nothing more: its time has not come again.
    assert!((1..=30).contains(&failed), "{failed}");
    assert_eq!(rig.counts().ejections, 1);
    let before = good.seen().len();
    for _ in 0..50 {
        assert_eq!(rig.get(GET).await.status, 200);
    }
    assert_eq!(good.seen().len(), before + 50);
    rig.end().await;
}

#[tokio::test]
async fn who_was_passed_over_gets_another_chance() {
    let (good, late) = (Instance::hello().await, nobody().await);
    let limits = settings(|settings| (settings.eject_after, settings.eject_time) = (1, Duration::from_millis(300)));
    let rig = Rig::to_with(&[good.address(), late], limits).await;
    while rig.counts().ejections == 0 {
        assert_eq!(rig.get(GET).await.status, 200);
    }
    let listener = TcpListener::bind(late).await.unwrap();
    let accepted = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut peer = Client::over(stream);
        read_request(&mut peer).await.unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback").await;
    });
    let began = tokio::time::Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(20));
        let answer = rig.get(GET).await;
        assert_eq!(answer.status, 200);
        if answer.text() == "back" {
            break;
        }
    }
    accepted.await.unwrap();
    rig.end().await;
}

#[tokio::test]
async fn retries_are_limited_when_all_instances_are_gone() {
    let dead: Vec<SocketAddr> = futures::future::join_all((0..4).map(|_| nobody())).await;
    let rig = Rig::to(&dead).await;
    for _ in 0..100 {
        assert_eq!(rig.get(GET).await.status, 502);
    }
    // A hundred at once, and a fifth of the requests.
    let retries = rig.counts().retries;
    assert!((100..=120).contains(&retries), "{retries}");
    rig.end().await;
}

#[tokio::test]
async fn connections_to_instances_are_kept_and_given_up_with_them() {
    let instance = Instance::hello().await;
    let rig = Rig::start().await;
    let key = rig.route("a.example", "/", &[instance.address()]);
    for _ in 0..20 {
        assert_eq!(rig.get(GET).await.status, 200);
    }
    assert_eq!(instance.connections(), 1);
    rig.target(&key, &[], Traffic::Serve);
    assert_eq!(rig.get(GET).await.status, 503);
    rig.target(&key, &[instance.address()], Traffic::Serve);
    assert_eq!(rig.get(GET).await.status, 200);
    assert_eq!(instance.connections(), 2);
    rig.end().await;
}
