//! Builds from uploaded sources.

use std::time::Duration;

use flynn_core::noun::{Build, BuildState, BuildStatus};
use flynn_core::port::Store;
use flynn_core::{Change, Scope};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::harness::{Asker, Cluster, Reply, START, options, send};

async fn upload(asker: &Asker, path: &str, body: Vec<u8>) -> Reply {
    send(asker.request(Method::POST, path).header("content-type", "application/x-tar").body(body)).await
}

#[tokio::test]
async fn an_upload_becomes_a_build_that_can_be_cancelled() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let made = upload(&root, "/v1/apps/web/builds?commit=abc", vec![7; 100_000]).await;
    assert_eq!(made.status, 201);
    let build = made.ok();
    assert_eq!((&build["number"], &build["state"], &build["commit"]), (&json!(1), &json!("pending"), &json!("abc")));
    assert!(build["source"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(upload(&root, "/v1/apps/web/builds", vec![8; 1_000]).await.ok()["number"], 2);
    assert_eq!(root.list("/v1/apps/web/builds").await.len(), 2);
    let cancelled = root.post("/v1/apps/web/builds/1/cancel", json!({})).await;
    assert_eq!(cancelled.status, 202);
    let objects = cluster.store.snapshot(Scope::All).await.unwrap().objects;
    let stored = objects.iter::<Build>().find(|stored| stored.spec.number == 1).unwrap();
    assert_eq!(stored.spec.desired, flynn_core::noun::BuildIntent::Cancel);
    cluster.commit([Change::report(stored.id, BuildStatus { state: BuildState::Cancelled, since: START })]).await;
    assert_eq!(root.get("/v1/apps/web/builds/1").await.ok()["state"], "cancelled");
    root.post("/v1/apps/web/builds/1/cancel", json!({})).await.refused(409, "conflict");
    cluster.commit([Change::remove(stored.id)]).await;
    assert_eq!(root.get("/v1/apps/web/builds/1").await.ok()["ended"], true, "it is in the history");
    root.get("/v1/apps/web/builds/9").await.refused(404, "not_found");
}

#[tokio::test]
async fn what_is_no_source_or_comes_from_who_may_not_build_is_refused() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    let viewer = cluster.member("vera", "red", "viewer").await;
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let refused = upload(&dev, "/v1/apps/web/builds", vec![7; 10]).await.refused(422, "invalid");
    assert_eq!(refused["errors"][0]["field"], "body");
    upload(&viewer, "/v1/apps/web/builds", vec![7; 1_000]).await.refused(403, "forbidden");
    upload(&cluster.nobody(), "/v1/apps/web/builds", vec![7; 1_000]).await.refused(401, "unauthenticated");
    upload(&dev, "/v1/apps/api/builds", vec![7; 1_000]).await.refused(404, "not_found");
    assert_eq!(dev.list("/v1/apps/web/builds").await, [] as [serde_json::Value; 0]);
}

#[tokio::test]
async fn an_upload_is_bounded_in_size_and_in_patience() {
    let mut options = options();
    options.upload_limit = 10_000;
    options.upload_idle = Duration::from_millis(300);
    let cluster = Cluster::with(options).await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    upload(&root, "/v1/apps/web/builds", vec![7; 10_001]).await.refused(413, "too_large");
    upload(&root, "/v1/apps/web/builds", vec![7; 10_000]).await.ok();

    let mut stalled = UnixStream::connect(&cluster.socket).await.unwrap();
    let head = "POST /v1/apps/web/builds HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nhalf";
    stalled.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), stalled.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 408");
    assert_eq!(root.list("/v1/apps/web/builds").await.len(), 1);
}

#[tokio::test]
async fn the_same_source_under_one_key_is_built_once() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let upload = |fill: u8| {
        send(root.request(Method::POST, "/v1/apps/web/builds").header("idempotency-key", "k1").body(vec![fill; 2_000]))
    };
    let first = upload(1).await.ok();
    assert_eq!(upload(1).await.ok()["id"], first["id"]);
    upload(2).await.refused(409, "key_reused");
    assert_eq!(root.list("/v1/apps/web/builds").await.len(), 1);
}
