//! Requests that no client of ours would send.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::harness::{Cluster, options, send};

#[tokio::test]
async fn what_cannot_be_read_is_malformed() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    for body in ["{", "[]", "7", "null", "\"x\"", "{}x", "{\"name\":7}"] {
        let reply = send(root.request(Method::POST, "/v1/teams").body(body)).await;
        reply.refused(400, "malformed");
    }
    send(root.request(Method::POST, "/v1/apps").body(vec![0xff, 0xfe])).await.refused(400, "malformed");
    send(root.request(Method::GET, "/v1/apps/%ff")).await.refused(400, "malformed");
    let named = send(root.request(Method::POST, "/v1/apps").body("{\"name\":[1]}")).await.refused(400, "malformed");
    assert_eq!(named["errors"][0]["field"], "name");
    let unknown = json!({ "name": "web", "colour": "red" });
    assert_eq!(root.post("/v1/apps", unknown).await.status, 201, "fields of a later client are ignored");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.get("/v1/later").await.refused(404, "no_such_route");
    root.get("/v1/apps/web/later/1").await.refused(404, "no_such_route");
    root.put("/v1/apps", json!({})).await.refused(405, "no_such_route");
    cluster.nobody().delete("/v1/whoami").await.refused(405, "no_such_route");
}

#[tokio::test]
async fn who_is_not_known_learns_nothing() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let nobody = cluster.nobody();
    for header in ["Basic eDp5", "Bearer", "Bearer x", "bearer flynn_", "\u{e4}"] {
        let reply = send(nobody.request(Method::GET, "/v1/apps").header("authorization", header)).await;
        assert!([401, 403].contains(&reply.status), "{header}: {reply:?}");
        assert!(!reply.text.contains("eDp5"), "a credential is not repeated");
    }
    nobody.get("/v1/apps/web").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_body_that_is_too_large_or_too_slow_is_refused() {
    let mut options = options();
    options.body_limit = 1_000;
    options.body_deadline = Duration::from_millis(300);
    let cluster = Cluster::with(options).await;
    let root = cluster.admin().await;
    let large = |length| send(root.request(Method::POST, "/v1/apps").body(" ".repeat(length)));
    large(1_001).await.refused(413, "too_large");
    large(1_000).await.refused(400, "malformed");
    let mut slow = UnixStream::connect(&cluster.socket).await.unwrap();
    let head = "POST /v1/apps HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{\"na";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), slow.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
}

#[tokio::test]
async fn every_request_has_an_id() {
    let cluster = Cluster::start().await;
    let nobody = cluster.nobody();
    let own = nobody.get("/healthz").await.headers["x-request-id"].clone();
    assert_ne!(nobody.get("/healthz").await.headers["x-request-id"], own);
    let with = |id: &str| send(nobody.request(Method::GET, "/v1/whoami").header("x-request-id", id));
    let given = with("edge-1.2_3").await;
    assert_eq!(given.headers["x-request-id"], "edge-1.2_3");
    assert_eq!(given.refused(401, "unauthenticated")["request_id"], "edge-1.2_3");
    for bad in ["a b", "<script>", &"x".repeat(65)] {
        assert_ne!(with(bad).await.headers["x-request-id"], bad);
    }
}
