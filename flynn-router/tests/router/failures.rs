//! What clients see when instances, or they themselves, fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flynn_core::noun::Traffic;
use flynn_router::proxy::Failure;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::instance::{Instance, read_request};
use crate::rig::{Client, Rig, settings, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An instance that reads a request and then does this.
async fn after_request<F, R>(then: F) -> Instance
where
    F: Fn(Client) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    Instance::script(move |stream| {
        let then = then.clone();
        async move {
            let mut peer = Client::over(stream);
            if read_request(&mut peer).await.is_some() {
                then(peer).await;
            }
        }
    })
    .await
}

/// The router answers `status`, and says why in the log and on the page.
async fn fails(rig: &Rig, status: u16, failure: Failure) {
    let seen = rig.lines.all().len();
    let answer = rig.get(GET).await;
    assert_eq!(answer.status, status);
    assert!(answer.text().contains(failure.code()), "{}", answer.text());
    let line = rig.lines.wait(seen + 1).await.pop().unwrap();
    assert!(line.starts_with(&format!("at=error code={} desc=", failure.code())), "{line}");
    assert!(line.contains(&format!(" status={status} ")), "{line}");
}

#[tokio::test]
async fn without_route_or_instance_there_is_a_page() {
    let rig = Rig::start().await;
    fails(&rig, 404, Failure::NoRoute).await;
    let key = rig.route("a.example", "/", &[]);
    fails(&rig, 503, Failure::NoInstance).await;
    let instance = Instance::hello().await;
    rig.target(&key, &[instance.address()], Traffic::Maintenance);
    fails(&rig, 503, Failure::Maintenance).await;
    assert!(instance.seen().is_empty());
    rig.target(&key, &[instance.address()], Traffic::Serve);
    assert_eq!(rig.get(GET).await.status, 200);
    rig.end().await;
}

#[tokio::test]
async fn browsers_get_html_and_nobody_gets_internals() {
    let dead = nobody().await;
    let rig = Rig::to(&[dead]).await;
    let html = rig.get("GET / HTTP/1.1\r\nHost: a.example\r\nAccept: text/html,*/*\r\n\r\n").await;
    assert!(html.field("content-type").unwrap().starts_with("text/html") && html.text().starts_with("<!doctype html>"));
    let plain = rig.get(GET).await;
    assert!(plain.field("content-type").unwrap().starts_with("text/plain") && !plain.text().contains('<'));
    for answer in [html, plain] {
        let whole = answer.head.clone() + &answer.text();
        assert!(!whole.contains("127.0.0.1") && !whole.contains(&dead.port().to_string()), "{whole}");
        assert_eq!(answer.field("cache-control").unwrap(), "no-store");
    }
    let mut client = rig.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let answer = client.answer_to("HEAD").await;
    assert_eq!(answer.status, 502);
    client.send(GET).await;
    assert_eq!(client.answer().await.status, 502);
    rig.end().await;
}

#[tokio::test]
async fn a_dead_instance_is_passed_over() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[nobody().await, nobody().await, instance.address()]).await;
    for _ in 0..30 {
        assert_eq!(rig.get("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi").await.status, 200);
    }
    assert!(instance.seen().iter().all(|seen| seen.body == b"hi"));
    rig.end().await;
}

#[tokio::test]
async fn dead_instances_alone_are_an_error() {
    let rig = Rig::to(&[nobody().await, nobody().await]).await;
    fails(&rig, 502, Failure::ConnectFailed).await;
    rig.end().await;
}

#[tokio::test]
async fn a_connection_closed_between_requests_goes_unnoticed() {
    let instance = Instance::fixed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    // Says nothing of closing, and closes after each answer.
    let closing = after_request(|mut peer| async move {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    drop(instance);
    let rig = Rig::to(&[closing.address]).await;
    for round in 1..=20 {
        assert_eq!(rig.get("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\nx").await.text(), "ok");
        until(|| closing.connections.load(Ordering::SeqCst) == round).await;
    }
    rig.end().await;
}

#[tokio::test]
async fn what_may_have_been_received_is_not_sent_twice() {
    let received = Arc::new(AtomicUsize::new(0));
    let instances: Vec<_> = futures::future::join_all((0..2).map(|_| {
        let received = received.clone();
        after_request(move |_| {
            received.fetch_add(1, Ordering::SeqCst);
            async {}
        })
    }))
    .await;
    let rig = Rig::to(&[instances[0].address, instances[1].address]).await;
    fails(&rig, 502, Failure::BackendClosed).await;
    assert_eq!(received.load(Ordering::SeqCst), 1);
    rig.end().await;
}

#[tokio::test]
async fn a_reset_instance_is_an_error() {
    let instance = after_request(|peer| async move {
        #[allow(deprecated, reason = "a reset is what is wanted, and nothing is left to block on")]
        peer.stream.set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    fails(&rig, 502, Failure::BackendClosed).await;
    rig.end().await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_an_error() {
    for garbage in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n"] {
        let instance = after_request(move |mut peer| async move {
            peer.send(garbage).await;
            peer.rest().await;
        })
        .await;
        let rig = Rig::to(&[instance.address]).await;
        fails(&rig, 502, Failure::BadAnswer).await;
        rig.end().await;
    }
}

#[tokio::test]
async fn a_silent_instance_times_out() {
    let instance = after_request(|mut peer| async move { drop(peer.rest().await) }).await;
    let rig =
        Rig::to_with(&[instance.address], settings(|settings| settings.first_byte = Duration::from_millis(200))).await;
    fails(&rig, 504, Failure::NoAnswer).await;
    rig.end().await;
}

#[tokio::test]
async fn the_first_byte_is_awaited_from_the_end_of_the_request() {
    let instance = Instance::hello().await;
    let rig =
        Rig::to_with(&[instance.address()], settings(|settings| settings.first_byte = Duration::from_millis(400)))
            .await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 8\r\n\r\n").await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send("x").await;
    }
    assert_eq!(client.answer().await.status, 200);
    rig.end().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_break_off() {
    for start in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        let instance = after_request(move |mut peer| async move { peer.send(start).await }).await;
        let rig = Rig::to(&[instance.address]).await;
        let answer = rig.get(GET).await;
        assert_eq!((answer.status, answer.whole), (200, false), "{answer:?}");
        let line = &rig.lines.wait(1).await[0];
        assert!(line.contains("code=R23") && line.contains("status=200"), "{line}");
        rig.end().await;
    }
}

#[tokio::test]
async fn more_than_was_announced_is_not_passed_on() {
    let instance = after_request(|mut peer| async move {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            .await;
        peer.rest().await;
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    let mut client = rig.client().await;
    for _ in 0..3 {
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
    rig.end().await;
}

#[tokio::test]
async fn a_stalled_answer_is_cut_off() {
    let instance = after_request(|mut peer| async move {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").await;
        peer.rest().await;
    })
    .await;
    let rig = Rig::to_with(&[instance.address], settings(|settings| settings.idle = Duration::from_millis(200))).await;
    let answer = rig.get(GET).await;
    assert_eq!((answer.status, answer.whole, answer.body.as_slice()), (200, false, &b"hello"[..]));
    assert!(rig.lines.wait(1).await[0].contains("code=R24"));
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let instance = after_request(|mut peer| async move {
        use tokio::io::AsyncWriteExt;
        let _ = peer.stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
        while peer.stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let rig = Rig::to_with(&[instance.address], settings(|settings| settings.idle = Duration::from_millis(300))).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    let line = rig.lines.wait(1).await.pop().unwrap();
    assert!(line.contains("code=R24"), "{line}");
    drop(client);
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_with_it() {
    let (gone, told) = watch::channel(false);
    let gone = Arc::new(gone);
    let instance = after_request(move |mut peer| {
        let gone = gone.clone();
        async move {
            peer.rest().await;
            gone.send_replace(true);
        }
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    until(|| instance.connections.load(Ordering::SeqCst) == 1).await;
    let key_state = || {
        let host = flynn_router::table::Host::parse("a.example").unwrap();
        flynn_router::table::RouteTable::lookup(&*rig.table, &host, "/").unwrap().target().state()
    };
    until(|| key_state().backends[0].in_flight() == 1).await;
    drop(client);
    let line = rig.lines.wait(1).await.pop().unwrap();
    assert!(line.contains("code=R16") && line.contains("status=499"), "{line}");
    until(|| *told.borrow()).await;
    assert_eq!(key_state().backends[0].in_flight(), 0);
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_breaks_off_its_body_leaves_no_whole_request_behind() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    for head in ["Content-Length: 100\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut client = rig.client().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a.example\r\n{head}")).await;
        until(|| instance.connections() > 0).await;
        drop(client);
    }
    let lines = rig.lines.wait(2).await;
    assert!(lines.iter().all(|line| line.contains("code=R16")), "{lines:#?}");
    assert!(instance.seen().is_empty());
    rig.end().await;
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_rest_of_the_request() {
    let instance = Instance::script(|stream| async move {
        let mut peer = Client::over(stream);
        peer.head().await;
        peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig").await;
        let mut sink = vec![0; 1 << 16];
        while peer.stream.read(&mut sink).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1000000\r\n\r\nhello").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
    drop(client);
    rig.end().await;
}

#[tokio::test]
async fn a_refused_upload_gets_its_page_however_much_is_sent() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 600000\r\n\r\n").await;
    client.send(vec![b'x'; 600_000]).await;
    assert_eq!(client.answer().await.status, 404);
    rig.end().await;
}
