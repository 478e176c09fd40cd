//! Good messages arrive as they should.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::instance::{Instance, Recorder};
use crate::rig::{Client, Rig, soon};

#[tokio::test]
async fn a_request_reaches_its_instance_and_its_answer_comes_back() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let answer = rig.get("GET /x/y?q=1 HTTP/1.1\r\nHost: A.example:80\r\nAccept: */*\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let seen = instance.only();
    assert!(seen.head.starts_with("GET /x/y?q=1 HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.field("host").unwrap(), "A.example:80");
    assert_eq!(seen.field("x-forwarded-for").unwrap(), "127.0.0.1");
    assert_eq!(seen.field("x-forwarded-proto").unwrap(), "http");
    assert_eq!(seen.field("x-forwarded-port").unwrap(), rig.address.port().to_string());
    assert_eq!(seen.field("x-forwarded-host").unwrap(), "A.example:80");
    assert_eq!(seen.field("x-request-id").unwrap().len(), 32);
    assert!(seen.field("x-request-start").unwrap().parse::<u64>().unwrap() > 1_600_000_000_000);
    assert!(seen.field("content-length").is_none() && seen.field("transfer-encoding").is_none());
    let lines = rig.lines.wait(1).await;
    let start = format!(
        "at=info method=GET host=A.example:80 path=\"/x/y?q=1\" request_id={} fwd=127.0.0.1 app=web job=",
        seen.field("x-request-id").unwrap()
    );
    assert!(lines[0].starts_with(&start), "{}", lines[0]);
    assert!(lines[0].ends_with(" status=200 bytes=5 protocol=http/1.1"), "{}", lines[0]);
    rig.end().await;
}

#[tokio::test]
async fn connections_are_kept_on_both_sides() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "hello");
    }
    assert_eq!((instance.seen().len(), instance.connections()), (20, 1));
    rig.end().await;
}

#[tokio::test]
async fn a_fixed_id_of_the_client_is_kept() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    rig.get("GET / HTTP/1.1\r\nHost: a.example\r\nX-Request-Id: 0123456789abcdefghij\r\n\r\n").await;
    assert_eq!(instance.only().field("x-request-id").unwrap(), "0123456789abcdefghij");
    rig.end().await;
}

#[tokio::test]
async fn bodies_of_both_kinds_arrive() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc").await;
    client.answer().await;
    for method in ["POST", "GET"] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{head}2;x=y\r\nab\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n")).await;
        client.answer().await;
    }
    let seen = instance.seen();
    assert_eq!(seen[0].body, b"abc");
    assert_eq!((&*seen[1].body, &*seen[2].body), (&b"ab\r\n\r\n"[..], &b"ab\r\n\r\n"[..]));
    assert!(!String::from_utf8_lossy(&seen[1].raw).contains("x=y"), "chunk extensions end at the router");
    rig.end().await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let instance = Instance::fixed(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n",
    )
    .await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Check, Content-Length\r\n\
             Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Check: 7\r\nContent-Length: 50\r\n\r\n",
        )
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.text().as_str(), answer.trailers.to_lowercase().as_str()), ("ok", "x-sum: 9\r\n"));
    let seen = instance.only();
    assert_eq!(seen.trailers.to_lowercase(), "x-check: 7\r\n");
    assert_eq!(seen.field("te").unwrap(), "trailers");
    rig.end().await;
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_usable() {
    let instance = Recorder::start(|seen| {
        let status = seen.head.split(['/', ' ']).nth(2).unwrap().to_owned();
        let length = if status == "204" { "" } else { "Content-Length: 5\r\n" };
        let body = if seen.head.starts_with("GET /200") { "hello" } else { "" };
        format!("HTTP/1.1 {status} X\r\n{length}ETag: \"1\"\r\n\r\n{body}").into_bytes()
    })
    .await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    for (method, path) in [("HEAD", "/200"), ("GET", "/204"), ("GET", "/304"), ("HEAD", "/200"), ("GET", "/200")] {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        let answer = client.answer_to(method).await;
        assert_eq!(answer.status.to_string(), path[1..]);
        assert_eq!(answer.field("etag").unwrap(), "\"1\"");
        assert!(answer.field("transfer-encoding").is_none());
        if method == "HEAD" {
            assert_eq!(answer.field("content-length").unwrap(), "5");
        }
    }
    assert_eq!(instance.connections(), 1);
    rig.end().await;
}

#[tokio::test]
async fn clients_of_http_1_0_get_no_chunks() {
    let instance =
        Instance::fixed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n").await;
    let rig = Rig::to(&[instance.address()]).await;
    let answer = rig.get("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n").await;
    assert!(answer.head.starts_with("HTTP/1.0 200"), "{}", answer.head);
    assert!(answer.field("transfer-encoding").is_none());
    assert_eq!(answer.text(), "hello");
    assert!(instance.only().head.starts_with("GET / HTTP/1.1\r\n"));
    assert!(rig.lines.wait(1).await[0].ends_with("protocol=http/1.0"));
    rig.end().await;
}

#[tokio::test]
async fn instances_of_http_1_0_are_understood() {
    let instance = Instance::fixed("HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil the end").await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.text().as_str(), answer.whole), ("until the end", true));
        assert!(answer.head.starts_with("HTTP/1.1 200"));
        assert!(answer.field("connection").is_none());
    }
    rig.end().await;
}

#[tokio::test]
async fn the_target_of_a_request_overrides_its_host_field() {
    let (right, wrong) = (Instance::hello().await, Instance::hello().await);
    let rig = Rig::to(&[right.address()]).await;
    rig.route("b.example", "/", &[wrong.address()]);
    let answer = rig.get("GET http://a.example/p?q HTTP/1.1\r\nHost: b.example\r\n\r\n").await;
    assert_eq!(answer.status, 200);
    let seen = right.only();
    assert!(seen.head.starts_with("GET /p?q HTTP/1.1\r\n"));
    assert_eq!(seen.field("host").unwrap(), "a.example");
    assert!(wrong.seen().is_empty());
    assert_eq!(rig.get("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n").await.status, 200);
    assert!(right.seen()[1].head.starts_with("OPTIONS * HTTP/1.1\r\n"));
    rig.end().await;
}

#[tokio::test]
async fn what_is_meant_for_one_connection_stays_there() {
    let instance = Instance::fixed(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: timeout=1\r\n\
         Proxy-Authenticate: Basic\r\nX-Outer: 1\r\n\r\nok",
    )
    .await;
    let rig = Rig::to(&[instance.address()]).await;
    let answer = rig
        .get(
            "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, X-Secret\r\nConnection: X-Other\r\nX-Secret: 1\r\n\
             X-Other: 1\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: gzip\r\nX-Kept: 1\r\n\r\n",
        )
        .await;
    for name in ["connection", "x-inner", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    assert_eq!(answer.field("x-outer").unwrap(), "1");
    let seen = instance.only();
    for name in
        ["connection", "x-secret", "x-other", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"]
    {
        assert_eq!(seen.field(name), None, "{name}");
    }
    assert_eq!(seen.field("x-kept").unwrap(), "1");
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_expects_is_told_to_go_on_only_if_somebody_listens() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    let head =
        |host: &str| format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    client.send(head("a.example")).await;
    assert_eq!(client.answer().await.status, 100);
    client.send("abc").await;
    assert_eq!(client.answer().await.status, 200);
    let seen = instance.only();
    assert_eq!((seen.body.as_slice(), seen.field("expect")), (&b"abc"[..], None));
    client.send(head("nobody.example")).await;
    assert_eq!(client.answer().await.status, 404);
    rig.end().await;
}

#[tokio::test]
async fn interim_answers_end_at_the_router() {
    let instance =
        Instance::fixed("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let rig = Rig::to(&[instance.address()]).await;
    let answer = rig.get("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    rig.end().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let instance = Recorder::start(|seen| {
        let path = seen.head.split(' ').nth(1).unwrap();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()).into_bytes()
    })
    .await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    let request = |path: &str, rest: &str| format!("POST {path} HTTP/1.1\r\nHost: a.example\r\n{rest}");
    let first = request("/1", "Content-Length: 2\r\n\r\n/x");
    let second = request("/2", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    client.send([first, second, request("/3", "\r\n")].concat()).await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.answer().await.text(), path);
    }
    assert_eq!(instance.seen()[0].body, b"/x");
    rig.end().await;
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let mut client = rig.client().await;
    let request =
        "\r\nPOST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n";
    for byte in request.bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.text(), "hello");
    assert_eq!(instance.only().body, b"abc");
    rig.end().await;
}

/// What a slow reader leaves unread stays with the sender, apart from buffers of the kernel.
const MOST_IN_BETWEEN: usize = 24 << 20;

async fn has_settled(sent: &AtomicUsize) -> usize {
    soon(async {
        loop {
            let before = sent.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(400)).await;
            if before > 0 && sent.load(Ordering::SeqCst) == before {
                return before;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_large_answer_is_never_held() {
    const TOTAL: usize = 96 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = sent.clone();
    let instance = Instance::script(move |mut stream| {
        let sent = counting.clone();
        async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {TOTAL}\r\n\r\n").as_bytes()).await;
            let block = vec![b'x'; 64 << 10];
            while sent.load(Ordering::SeqCst) < TOTAL && stream.write_all(&block).await.is_ok() {
                sent.fetch_add(block.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.head().await.unwrap();
    let held = has_settled(&sent).await;
    assert!(held < MOST_IN_BETWEEN, "{held} bytes are on their way to a client that does not read");
    assert_eq!(client.exactly(TOTAL).await.unwrap().len(), TOTAL);
    drop(client);
    rig.end().await;
}

#[tokio::test]
async fn a_large_request_is_never_held() {
    const TOTAL: usize = 96 << 20;
    let (read_on, go) = tokio::sync::watch::channel(false);
    let instance = Instance::script(move |stream| {
        let mut go = go.clone();
        async move {
            go.wait_for(|go| *go).await.unwrap();
            let mut peer = Client::over(stream);
            peer.head().await.unwrap();
            let mut left = TOTAL;
            let mut block = vec![0; 64 << 10];
            while left > 0 {
                let count = peer.stream.read(&mut block).await.unwrap();
                assert!(count > 0);
                left = left.saturating_sub(count);
                if left < 1 << 20 {
                    break;
                }
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            while peer.stream.read(&mut block).await.is_ok_and(|count| count > 0) {}
        }
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    let stream = tokio::net::TcpStream::connect(rig.address).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = sent.clone();
    let uploading = tokio::spawn(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {TOTAL}\r\n\r\n");
        writer.write_all(head.as_bytes()).await.unwrap();
        let block = vec![b'x'; 64 << 10];
        while counting.load(Ordering::SeqCst) < TOTAL {
            writer.write_all(&block).await.unwrap();
            counting.fetch_add(block.len(), Ordering::SeqCst);
        }
        writer
    });
    let held = has_settled(&sent).await;
    assert!(held < MOST_IN_BETWEEN, "{held} bytes were taken for an instance that does not read");
    read_on.send_replace(true);
    let writer = soon(uploading).await.unwrap();
    let mut client = Client::over(reader.reunite(writer).unwrap());
    assert_eq!(client.answer().await.status, 200);
    drop(client);
    rig.end().await;
}
