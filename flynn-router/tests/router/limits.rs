//! Slow, greedy and many clients.

use std::time::Duration;

use flynn_router::proxy::Failure;
use tokio::time::Instant;

use crate::instance::{Instance, read_request};
use crate::rig::{Client, Rig, settings, soon, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_head_has_to_be_whole_in_time_however_it_drips() {
    let rig = Rig::with(settings(|settings| settings.head_time = Duration::from_millis(400))).await;
    let client = rig.client().await;
    let began = Instant::now();
    for byte in GET.bytes().chain(GET.bytes()) {
        if began.elapsed() > Duration::from_secs(2) || soon(client.stream.writable()).await.is_err() {
            break;
        }
        if client.stream.try_write(&[byte]).is_err() || !rig.lines.all().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    let line = rig.lines.wait(1).await.pop().unwrap();
    assert!(line.contains("code=R18") && line.contains("status=408"), "{line}");
    rig.end().await;
}

#[tokio::test]
async fn the_first_head_is_awaited_for_less_long_than_the_next() {
    let instance = Instance::hello().await;
    let rig = Rig::to_with(&[instance.address()], settings(|settings| settings.head_time = SHORT)).await;
    let (mut silent, mut served) = (rig.client().await, rig.client().await);
    served.send(GET).await;
    assert_eq!(served.answer().await.status, 200);
    assert!(silent.rest().await.is_empty());
    tokio::time::sleep(2 * SHORT).await;
    served.send(GET).await;
    assert_eq!(served.answer().await.status, 200);
    assert_eq!(rig.lines.all().len(), 2);
    rig.end().await;
}

#[tokio::test]
async fn a_dripping_body_is_cut_off_and_a_quick_one_is_not() {
    let instance = Instance::hello().await;
    let limits = settings(|settings| (settings.body_idle, settings.body_rate) = (Duration::from_millis(500), 100));
    let rig = Rig::to_with(&[instance.address()], limits).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\n").await;
    // A byte each 50 ms: no pause is too long, but all together are.
    let began = Instant::now();
    while rig.lines.all().is_empty() && began.elapsed() < Duration::from_secs(10) {
        let _ = client.stream.try_write(b"x");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let line = rig.lines.wait(1).await.pop().unwrap();
    assert!(line.contains("code=R18") && line.contains("status=408"), "{line}");
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000\r\n\r\n").await;
    for _ in 0..20 {
        client.send([b'x'; 50]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(instance.only().body.len(), 1_000);
    rig.end().await;
}

#[tokio::test]
async fn a_body_may_come_slowly_once_the_answer_has_begun() {
    let instance = Instance::script(|stream| async move {
        let mut peer = Client::over(stream);
        peer.head().await;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
        peer.exactly(20).await;
        peer.send("k").await;
        peer.rest().await;
    })
    .await;
    let limits = settings(|settings| (settings.body_idle, settings.body_rate) = (Duration::from_millis(300), 100));
    let rig = Rig::to_with(&[instance.address], limits).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 20\r\n\r\n").await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        client.send("x").await;
    }
    assert_eq!(client.answer().await.text(), "ok");
    rig.end().await;
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let instance = Instance::hello().await;
    let rig = Rig::to_with(&[instance.address()], settings(|settings| settings.body_bytes = Some(10))).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n0123456789").await;
    assert_eq!(client.answer().await.status, 200);
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 11\r\n\r\n0123456789a").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("connection").as_deref()), (413, Some("close")));
    assert_eq!(instance.connections(), 1);
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n").await;
    assert_eq!(client.answer().await.status, 413);
    let lines = rig.lines.wait(3).await;
    assert!(lines[1..].iter().all(|line| line.contains("code=R25")), "{lines:#?}");
    assert_eq!(instance.only().body, b"0123456789");
    rig.end().await;
}

#[tokio::test]
async fn when_there_is_no_place_left_those_who_wait_give_theirs_up() {
    let (asked, told) = tokio::sync::watch::channel(false);
    let (go, going) = tokio::sync::watch::channel(false);
    let asked = std::sync::Arc::new(asked);
    let instance = Instance::script(move |stream| {
        let (asked, mut going) = (asked.clone(), going.clone());
        async move {
            let mut peer = Client::over(stream);
            while let Some(seen) = read_request(&mut peer).await {
                if seen.head.contains("/slow") {
                    asked.send_replace(true);
                    going.wait_for(|going| *going).await.unwrap();
                }
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            }
        }
    })
    .await;
    let rig = Rig::to_with(&[instance.address], settings(|settings| settings.connections = 4)).await;
    let (mut idle, mut half, mut silent, mut busy) =
        (rig.client().await, rig.client().await, rig.client().await, rig.client().await);
    idle.send(GET).await;
    assert_eq!(idle.answer().await.status, 200);
    half.send("GET / HTTP/1.1\r\nHost: a.ex").await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    until(|| *told.borrow()).await;
    until(|| rig.counts().open == 4).await;
    let began = Instant::now();
    let mut next = rig.client().await;
    next.send(GET).await;
    assert_eq!(next.answer().await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(silent.rest().await.is_empty() && idle.rest().await.is_empty());
    assert_eq!(half.answer().await.status, 408);
    go.send_replace(true);
    assert_eq!(busy.answer().await.status, 200);
    let counts = rig.counts();
    assert_eq!((counts.connections, counts.crowded > 0), (5, true), "{counts:?}");
    assert_eq!(counts.failures.get(Failure::ClientTooSlow.code()), Some(&1));
    until(|| rig.counts().requests == 4).await;
    rig.end().await;
}
