//! What becomes of requests over TLS, on HTTP/1.1 and HTTP/2.

use std::time::Duration;

use flynn_router::rules::Rules;
use flynn_router::table::{RouteSpec, TableChange};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{HeaderMap, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::secured::{Secured, empty, read};
use crate::instance::{Instance, Recorder};
use crate::rig::{Client, place, settings, soon};

#[tokio::test]
async fn an_instance_learns_that_a_request_was_encrypted() {
    let instance = Instance::hello().await;
    let secured = Secured::to(&[instance.address()]).await;
    let port = secured.address.port();
    let spoofed = "X-Forwarded-Proto: http\r\nConnection: close";
    let answer =
        secured.get("a.example", &format!("GET /x?y HTTP/1.1\r\nHost: a.example:{port}\r\n{spoofed}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
    let absolute = format!("GET https://a.example:{port}/x?y HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n");
    assert!(secured.get("a.example", &absolute).await.starts_with("HTTP/1.1 200 "));
    let wrong = absolute.replace("https://", "http://");
    assert!(secured.get("a.example", &wrong).await.starts_with("HTTP/1.1 400 "));
    let (status, text) = secured.h2("a.example").await.get(&format!("https://a.example:{port}/x?y")).await;
    assert_eq!((status, text.as_str()), (200, "hello"));
    let seen = instance.seen();
    assert_eq!(seen.len(), 3);
    for seen in seen {
        assert!(seen.head.starts_with("GET /x?y HTTP/1.1\r\n"), "{}", seen.head);
        for (name, value) in [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", &port.to_string()),
            ("x-forwarded-for", "127.0.0.1"),
            ("host", &format!("a.example:{port}")),
        ] {
            assert_eq!(seen.field(name).as_deref(), Some(value), "{name}");
        }
    }
    let lines = secured.rig.lines.wait(4).await;
    let of_h2 = lines.iter().filter(|line| line.contains("protocol=h2")).count();
    assert_eq!(of_h2, 1, "{lines:#?}");
    secured.end().await;
}

#[tokio::test]
async fn only_what_is_not_encrypted_is_redirected() {
    let instance = Instance::hello().await;
    let settings = settings(|settings| settings.https_port = Some(443));
    let secured = Secured::with(&[instance.address()], settings, Default::default()).await;
    let target = secured.rig.route("unused.example", "/", &[instance.address()]);
    let mut rules = Rules::default();
    rules.redirect_https = true;
    secured
        .rig
        .table
        .apply([TableChange::PutRoute(place("a.example", "/"), RouteSpec { target, rules: rules.into() })]);
    let plain = secured.rig.get("GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").await;
    assert_eq!((plain.status, plain.field("location").as_deref()), (301, Some("https://a.example/x")));
    assert_eq!(secured.h2("a.example").await.get("https://a.example/x").await.0, 200);
    secured.end().await;
}

#[tokio::test]
async fn a_connection_is_for_the_hosts_of_its_certificate() {
    let instance = Instance::hello().await;
    let secured = Secured::to(&[instance.address()]).await;
    for host in ["b.example", "x.c.example", "y.c.example"] {
        secured.rig.route(host, "/", &[instance.address()]);
    }
    secured.serve(&["b.example"]);
    secured.serve(&["*.c.example"]);
    let mut client = secured.h2("a.example").await;
    assert_eq!(client.get("https://a.example/").await.0, 200);
    let (status, text) = client.get("https://b.example/").await;
    assert!(status == 421 && text.contains("R27"), "{status} {text}");
    let mut client = secured.h2("x.c.example").await;
    assert_eq!(client.get("https://y.c.example/").await.0, 200);
    assert_eq!(client.get("https://a.example/").await.0, 421);
    let answer = secured.get("a.example", "GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    secured.end().await;
}

#[tokio::test]
async fn bodies_cookies_and_trailers_pass() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n\
                  3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n";
    let instance = Instance::fixed(answer).await;
    let secured = Secured::to(&[instance.address()]).await;
    let mut client = secured.h2("a.example").await;
    let pieces = [Ok(Frame::data(Bytes::from("one"))), Ok(Frame::data(Bytes::from("two")))];
    let body = StreamBody::new(futures::stream::iter(pieces)).boxed();
    // A GET with a body of unknown length is where lengths are forgotten.
    let request =
        Request::get("https://a.example/").header("cookie", "a=1").header("cookie", "b=2").body(body).unwrap();
    let (head, body) = client.send(request).await.into_parts();
    assert!(!head.headers.contains_key("x-hop") && !head.headers.contains_key("connection"), "{head:?}");
    let body = soon(body.collect()).await.unwrap();
    let trailers: HeaderMap = body.trailers().cloned().unwrap_or_default();
    assert_eq!((body.to_bytes().as_ref(), trailers["x-sum"].as_bytes()), (&b"abc"[..], &b"7"[..]));
    let seen = instance.only();
    assert_eq!((seen.body.as_slice(), seen.field("cookie").as_deref()), (&b"onetwo"[..], Some("a=1; b=2")));
    assert_eq!((seen.field("transfer-encoding").as_deref(), seen.field("content-length")), (Some("chunked"), None));

    let body = Full::new(Bytes::from("three")).map_err(|never| match never {}).boxed();
    let request = Request::post("https://a.example/").body(body).unwrap();
    assert_eq!(read(client.send(request).await).await.0, 200);
    let seen = instance.seen().pop().unwrap();
    assert_eq!((seen.body.as_slice(), seen.field("content-length").as_deref()), (&b"three"[..], Some("5")));
    drop(client);
    secured.end().await;
}

#[tokio::test]
async fn the_rules_of_http1_hold_for_http2() {
    let instance = Instance::hello().await;
    let settings = settings(|settings| (settings.head_fields, settings.body_bytes) = (20, Some(10)));
    let secured = Secured::with(&[instance.address()], settings, Default::default()).await;
    let mut client = secured.h2("a.example").await;
    let with = |name: &str, value: &str| Request::get("https://a.example/").header(name, value).body(empty()).unwrap();
    let mut many = with("x", "1");
    for number in 0..20 {
        many.headers_mut().append("y", number.into());
    }
    let long = Full::new(Bytes::from("more than ten")).map_err(|never| match never {}).boxed();
    for (request, expect) in [
        (with("host", "b.example"), 400),
        (with("expect", "something"), 417),
        (many, 431),
        (Request::post("https://a.example/").body(long).unwrap(), 413),
        (Request::get("https://none.example/").body(empty()).unwrap(), 421),
        (Request::options("https://a.example/").body(empty()).unwrap(), 200),
    ] {
        let head = format!("{:?}", request.headers());
        assert_eq!(read(client.send(request).await).await.0, expect, "{head}");
    }
    let connect = Request::connect("a.example:443").body(empty()).unwrap();
    assert_eq!(read(client.send(connect).await).await.0, 405);
    assert_eq!(instance.seen().len(), 1);
    drop(client);
    secured.end().await;
}

#[tokio::test]
async fn an_upgrade_is_tunnelled_over_tls() {
    let instance = Instance::script(|stream| async move {
        let mut peer = Client::over(stream);
        let head = peer.head().await.unwrap();
        assert!(head.to_lowercase().contains("upgrade: echo"), "{head}");
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
        let word = peer.exactly(4).await.unwrap();
        peer.send(word).await;
    })
    .await;
    let secured = Secured::to(&[instance.address]).await;
    let config = secured.authority.client(&["http/1.1"]).into();
    let mut stream = secured.connect(&config, "a.example").await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    soon(stream.write_all(b"ping")).await.unwrap();
    let mut word = [0; 4];
    soon(stream.read_exact(&mut word)).await.unwrap();
    assert_eq!(&word, b"ping");
    drop(stream);
    secured.end().await;
}

#[tokio::test]
async fn requests_under_way_end_well_when_service_ends() {
    let instance = Recorder::start(|seen| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        if seen.head.contains(" /slow ") {
            std::thread::sleep(Duration::from_millis(300));
        }
        answer.into()
    })
    .await;
    let mut secured = Secured::to(&[instance.address()]).await;
    let mut client = secured.h2("a.example").await;
    assert_eq!(client.get("https://a.example/").await.0, 200);
    let idle = secured.h2("a.example").await;
    let request = Request::get("https://a.example/slow").body(empty()).unwrap();
    soon(client.sender.ready()).await.unwrap();
    let answer = client.sender.send_request(request);
    let reached = async {
        while instance.connections() < 1 || secured.rig.counts().requests < 1 {
            tokio::task::yield_now().await;
        }
    };
    soon(reached).await;
    tokio::pin!(answer);
    // It has to be on its way, or the router may refuse it for being late.
    let _ = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    secured.begin_stop();
    assert_eq!(read(soon(answer).await.unwrap()).await, (200, "hello".into()));
    drop((client, idle));
    assert_eq!(secured.stopped().await.cut, 0);
}

#[tokio::test]
async fn a_connection_lives_by_requests_that_no_instance_sees() {
    let settings = settings(|settings| settings.head_time = Duration::from_millis(300));
    let secured = Secured::with(&[], settings, Default::default()).await;
    secured.serve(&["none.example"]);
    let mut client = secured.h2("none.example").await;
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_millis(900) {
        assert_eq!(client.get("https://none.example/").await.0, 404);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(client);
    secured.end().await;
}
