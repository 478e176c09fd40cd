//! Malformed requests are refused, and no part of them reaches an instance.

use std::time::Duration;

use crate::instance::Instance;
use crate::rig::{Rig, settings};

/// Sends raw bytes and says what came back, once the router has closed the connection.
async fn refused(rig: &Rig, request: &[u8]) -> Vec<u16> {
    let mut client = rig.client().await;
    client.send(request).await;
    statuses(&client.rest().await)
}

fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

#[tokio::test]
async fn nothing_malformed_reaches_an_instance() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let requests: &[(&str, u16)] = &[
        ("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: +5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: identity\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.example\r\nX: 1\r\n 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.example\r\nX: \0\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a.example\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.example\nX: 1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a.example\rX: 1\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a.example\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("\x16\x03\x01\x02\0\x01\0\x01\u{7f}\r\n\r\n", 400),
        ("GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 400),
        ("GET http://user@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 400),
        ("GET a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", 400),
        ("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a.example\r\nExpect: magic\r\n\r\n", 417),
    ];
    for (number, (request, status)) in requests.iter().enumerate() {
        // Where the connection stays open the client asks for its end.
        let request = request.replacen("Host:", "Connection: close\r\nHost:", 1);
        assert_eq!(refused(&rig, request.as_bytes()).await, [*status], "{request:?}");
        let line = rig.lines.wait(number + 1).await.pop().unwrap();
        assert!(line.starts_with("at=error code=R"), "{line}");
    }
    assert!(instance.seen().is_empty() && instance.connections() == 0, "{:?}", instance.seen());
    rig.end().await;
}

#[tokio::test]
async fn what_follows_a_refused_request_is_never_a_request() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    let good = "GET /good HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let bad = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let request = [good, bad, "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"].concat();
    assert_eq!(refused(&rig, request.as_bytes()).await, [200, 400]);
    assert!(instance.only().head.starts_with("GET /good "));
    rig.end().await;
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_request() {
    let instance = Instance::hello().await;
    let rig = Rig::to(&[instance.address()]).await;
    for body in ["5\nhello\r\n0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "-1\r\n", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"] {
        let request = format!("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(refused(&rig, request.as_bytes()).await, [400], "{body:?}");
    }
    assert!(instance.seen().is_empty(), "{:?}", instance.seen());
    let lines = rig.lines.wait(4).await;
    assert!(lines.iter().all(|line| line.contains("code=R15 desc=\"bad request: a malformed chunk\"")), "{lines:#?}");
    rig.end().await;
}

#[tokio::test]
async fn heads_have_limits() {
    let instance = Instance::hello().await;
    let limits = settings(|settings| (settings.head_bytes, settings.head_fields) = (4_096, 20));
    let rig = Rig::to_with(&[instance.address()], limits).await;
    let long = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "x".repeat(5_000));
    assert_eq!(refused(&rig, long.as_bytes()).await, [431]);
    let endless = format!("GET /{}", "x".repeat(5_000));
    assert_eq!(refused(&rig, endless.as_bytes()).await, [431]);
    let many = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{}\r\n", "X: 1\r\n".repeat(20));
    assert_eq!(refused(&rig, many.as_bytes()).await, [431]);
    assert!(rig.lines.wait(3).await.iter().all(|line| line.contains("code=R17")));
    let fits = format!("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{}\r\n", "X: 1\r\n".repeat(18));
    assert_eq!(refused(&rig, fits.as_bytes()).await, [200]);
    rig.end().await;
}

#[tokio::test]
async fn slow_clients_are_let_go() {
    let instance = Instance::hello().await;
    let short = Duration::from_millis(200);
    let rig = Rig::to_with(
        &[instance.address()],
        settings(|settings| {
            (settings.head_time, settings.keep_alive, settings.body_idle) = (short, short, short);
        }),
    )
    .await;
    // In the middle of a head.
    assert_eq!(refused(&rig, b"GET / HTTP/1.1\r\nHost: a.exa").await, [408]);
    // In the middle of a body.
    assert_eq!(refused(&rig, b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhel").await, [408]);
    assert!(rig.lines.wait(2).await.iter().all(|line| line.contains("code=R18")));
    // Between two requests.
    assert_eq!(refused(&rig, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await, [200]);
    // Before the first.
    assert_eq!(refused(&rig, b"").await, [0_u16; 0]);
    rig.lines.wait(3).await;
    rig.end().await;
}

/// Requests with random damage: what is answered with 200 is what the instance saw, every answer has its line,
/// and what the instance saw is well-formed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_requests_do_not_desynchronise() {
    const MARKS: [&str; 16] = [
        "\r",
        "\n",
        "\r\n",
        "\0",
        " ",
        "\t",
        ":",
        ",",
        ";",
        "0",
        "5",
        "x",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: b\r\n",
        "\u{e4}",
    ];
    let instance = Instance::hello().await;
    let short = Duration::from_millis(100);
    let limits = settings(|settings| {
        (settings.head_time, settings.keep_alive, settings.body_idle) = (short, short, short);
    });
    let rig = Rig::to_with(&[instance.address()], limits).await;
    let valid = "POST /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3;e=f\r\nabc\r\n0\r\nT: u\r\n\r\n\
                 POST /b HTTP/1.1\r\nHost: a.example\r\nContent-Length: 12\r\n\r\nGET / HTTP/1\
                 GET /c HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let mut state = 0x1234_5678_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut good, mut all) = (0, 0);
    for _ in 0..12 {
        let damaged: Vec<Vec<u8>> = (0..40)
            .map(|_| {
                let mut bytes = valid.as_bytes().to_vec();
                for _ in 0..=random(2) {
                    let at = random(bytes.len());
                    let mark = MARKS[random(MARKS.len())];
                    let end = at + random(2).min(bytes.len() - at);
                    bytes.splice(at..end, mark.bytes());
                }
                bytes
            })
            .collect();
        let exchanges = damaged.iter().map(|request| refused(&rig, request));
        for statuses in futures::future::join_all(exchanges).await {
            good += statuses.iter().filter(|status| **status == 200).count();
            all += statuses.len();
            let bad = statuses.iter().position(|status| *status != 200 && *status != 404);
            assert!(bad.is_none_or(|at| at + 1 == statuses.len()), "an answer after a refusal: {statuses:?}");
        }
    }
    assert!(good > 100 && all - good > 100, "{good} of {all} were good");
    let seen = instance.seen();
    assert_eq!(seen.len(), good);
    assert!(seen.iter().all(|seen| !seen.head.contains("transfer-encoding") || !seen.head.contains("content-length")));
    let broken = rig.lines.records().iter().filter(|record| record.status == 499).count();
    rig.lines.wait(all + broken).await;
    rig.end().await;
}

#[tokio::test]
async fn a_client_that_closes_its_half_counts_as_gone() {
    use tokio::io::AsyncWriteExt;
    let instance = Instance::script(|stream| async move {
        let mut peer = crate::rig::Client::over(stream);
        peer.rest().await;
    })
    .await;
    let rig = Rig::to(&[instance.address]).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"");
    assert!(rig.lines.wait(1).await[0].contains("code=R16"));
    rig.end().await;
}

#[tokio::test]
async fn no_client_writes_into_the_log() {
    let rig = Rig::start().await;
    let path = "/x\"%20at=info%0astatus=200\\";
    rig.get(&format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: 0123456789 code=R99 x\"y\r\nUser-Agent: \u{1}\r\n\r\n"
    ))
    .await;
    rig.get(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: 0123456789 code=R99 x\"y\r\n\r\n")).await;
    let lines = rig.lines.wait(2).await;
    assert!(lines[0].contains("code=R15") && lines[1].contains("code=R10"), "{lines:#?}");
    assert!(lines[1].contains(r#" path="/x\"%20at=info%0astatus=200\\" "#), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("R99") && !line.contains('\n')));
    rig.end().await;
}
