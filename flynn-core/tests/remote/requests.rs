//! Requests that no client of ours would send: each is refused as a problem, and none breaks the server.

use std::sync::Arc;
use std::time::Duration;

use flynn_core::conformance::token_secret;
use flynn_core::noun::{TokenId, TokenScope};
use flynn_core::port::Store;
use flynn_core::server::peer::PeerOptions;
use flynn_core::{Clock, MemoryStore, Scope, SystemClock};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::harness::{Server, routes};
use super::people::{token, world};

struct Asker {
    server: Server,
    client: Client,
}

impl Asker {
    async fn with(options: PeerOptions) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let server = Server::start(routes(Arc::new(MemoryStore::default()), clock, options)).await;
        let client = Client::builder().no_proxy().unix_socket(server.socket.clone()).build().unwrap();
        Self { server, client }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://localhost/peer/v1/{path}"))
    }

    async fn still_works(&self) {
        self.server.trusted().snapshot(Scope::All).await.unwrap();
    }
}

/// The status and the problem, which has to be one.
async fn problem(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.text().await.unwrap().parse().unwrap();
    assert_eq!(body["status"], json!(status));
    assert!(body["title"].is_string() && body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    (status, body)
}

async fn check(request: RequestBuilder, status: u16, code: &str) {
    let (actual, body) = problem(request).await;
    assert_eq!((actual, body["code"].as_str().unwrap()), (status, code), "{body}");
}

#[tokio::test]
async fn what_cannot_be_read_is_malformed() {
    let asker = Asker::with(PeerOptions::default()).await;
    for path in ["commit", "campaign", "resign", "beat", "samples"] {
        for body in ["", "{", "[]", "7", "null", "{}", "\"x\"", "{\"principal\":\"system\",\"changes\":[7]}", "[{}]"] {
            if path == "samples" && body == "[]" {
                continue;
            }
            check(asker.request(Method::POST, path).body(body), 400, "malformed").await;
        }
        check(asker.request(Method::POST, path).body(vec![0xff, 0xfe]), 400, "malformed").await;
    }
    let later = json!({"principal": "system", "changes": [{"verb": "create", "kind": "later", "id": TokenId::NIL.to_string()}]});
    let (status, body) = problem(asker.request(Method::POST, "commit").body(later.to_string())).await;
    assert_eq!((status, &body["error"]["invalid"]["field"]), (400, &json!("changes[0].kind")));
    let id = TokenId::NIL;
    for query in [
        "snapshot".into(),
        "snapshot?scope=later".into(),
        "snapshot?scope=app:7".into(),
        "snapshot?scope=%ff".into(),
        "tail?scope=all".into(),
        "tail?scope=all&after=-1".into(),
        "tail?scope=all&after=99999999999999999999".into(),
        "archived?kind=later&cursor=newest&limit=1".into(),
        "archived?kind=job&cursor=x&limit=1".into(),
        "archived?kind=job&app=x&cursor=newest&limit=1".into(),
        "audit?cursor=newest&limit=-1".into(),
        format!("samples?app={id}&measure=later&window_ms=1"),
        format!("samples?app={id}&measure=cpu_millis&window_ms=x"),
        format!("samples?app={id}&measure=cpu_millis&window_ms=1&process=No"),
    ] {
        check(asker.request(Method::GET, &query), 400, "malformed").await;
    }
    asker.still_works().await;
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() {
    let asker = Asker::with(PeerOptions::default()).await;
    check(asker.request(Method::GET, "later"), 404, "no_such_route").await;
    check(asker.request(Method::POST, "commit/x"), 404, "no_such_route").await;
    check(asker.request(Method::GET, "commit"), 405, "no_such_route").await;
    check(asker.request(Method::DELETE, "samples"), 405, "no_such_route").await;
    check(asker.request(Method::POST, "tail?scope=all&after=0"), 405, "no_such_route").await;
}

#[tokio::test]
async fn who_is_not_let_in_need_not_send_a_body() {
    let world = world().await;
    let url = |path: &str| format!("http://{}/peer/v1/{path}", world.store.server.tcp);
    let client = Client::builder().no_proxy().build().unwrap();
    for path in ["commit", "campaign", "beat", "samples"] {
        check(client.post(url(path)).body("{"), 401, "unauthenticated").await;
    }
    for header in ["Basic eDp5", "Bearer", "Bearer x", "bearer flynn_", "\u{e4}"] {
        let refused = problem(client.get(url("whoami")).header("authorization", header)).await;
        assert!([401, 403].contains(&refused.0), "{header}: {refused:?}");
        assert!(!refused.1.to_string().contains("eDp5"), "a credential is not repeated");
    }
    let response = client.get(url("whoami")).send().await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"flynn\"");
    let agent = token(&world, TokenScope::Node(world.node), None).await;
    let known = client.get(url("whoami")).header("authorization", format!("bearer {}", token_secret(agent).reveal()));
    assert_eq!(known.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_or_too_slow_is_refused() {
    let options = PeerOptions::default().with_body_limits(1_000, Duration::from_millis(200));
    let asker = Asker::with(options).await;
    for path in ["commit", "samples"] {
        check(asker.request(Method::POST, path).body("x".repeat(1_001)), 413, "too_large").await;
        check(asker.request(Method::POST, path).body("x".repeat(1_000)), 400, "malformed").await;
    }
    // Neither does it help to leave the length out.
    let mut stream = UnixStream::connect(&asker.server.socket).await.unwrap();
    let head = "POST /peer/v1/commit HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(format!("5dc\r\n{}\r\n", "x".repeat(1_500)).as_bytes()).await.unwrap();
    assert_eq!(status(&mut stream).await, "413");
    let mut stream = UnixStream::connect(&asker.server.socket).await.unwrap();
    let head = "POST /peer/v1/commit HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{\"pri";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status(&mut stream).await, "408");
    asker.still_works().await;
}

async fn status(stream: &mut UnixStream) -> String {
    let mut start = [0; 12];
    tokio::time::timeout(Duration::from_secs(30), stream.read_exact(&mut start)).await.unwrap().unwrap();
    String::from_utf8_lossy(&start[9..]).into_owned()
}

/// A batch damaged in many places is always either judged or refused, and never an error of the server.
#[tokio::test]
async fn a_damaged_batch_is_the_senders_fault() {
    let asker = Asker::with(PeerOptions::default()).await;
    let fixture = include_str!("../../fixtures/wire/v1/peer/batch.json").replace("controller:3", "system");
    let bytes: Vec<u8> = fixture.into_bytes();
    let patches: [&[u8]; 8] = [b"", b"\"", b"{", b"]", b"null", b"-1", b"\"later\"", b"\xff"];
    for (number, place) in (0..bytes.len()).step_by(7).enumerate() {
        let mut damaged = bytes.clone();
        damaged.splice(place..(place + 3).min(bytes.len()), patches[number % patches.len()].iter().copied());
        let response = asker.request(Method::POST, "commit").body(damaged).send().await.unwrap();
        assert!(response.status().is_client_error(), "{place}: {}", response.status());
    }
    asker.still_works().await;
}
