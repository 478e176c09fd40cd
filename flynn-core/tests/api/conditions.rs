//! Requests that are repeated, and requests that are meant for one version.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Asker, Cluster, Reply, send};

async fn keyed(asker: &Asker, method: Method, path: &str, key: &str, body: Value) -> Reply {
    send(asker.request(method, path).header("idempotency-key", key).body(body.to_string())).await
}

async fn if_match(asker: &Asker, method: Method, path: &str, tag: &str, body: Value) -> Reply {
    send(asker.request(method, path).header("if-match", tag).body(body.to_string())).await
}

#[tokio::test]
async fn a_repeated_request_is_answered_like_the_first_and_changes_nothing() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let first = keyed(&root, Method::POST, "/v1/apps", "a", json!({})).await.ok();
    let again = keyed(&root, Method::POST, "/v1/apps", "a", json!({})).await.ok();
    assert_eq!(again["id"], first["id"], "a name is made up once");
    keyed(&root, Method::POST, "/v1/apps", "a", json!({ "name": "web" })).await.refused(409, "key_reused");
    keyed(&root, Method::POST, "/v1/teams", "a", json!({})).await.refused(400, "malformed");
    assert_eq!(root.list("/v1/apps").await.len(), 1);
    for bad in ["", "a b", &"k".repeat(256)] {
        keyed(&root, Method::POST, "/v1/apps", bad, json!({})).await.refused(400, "malformed");
    }
    // Keys belong to who uses them.
    let dev = cluster.member("dev", "red", "developer").await;
    let other = keyed(&dev, Method::POST, "/v1/apps", "a", json!({})).await.ok();
    assert_ne!(other["id"], first["id"]);
}

#[tokio::test]
async fn what_cannot_be_done_twice_can_be_asked_twice() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    cluster.release(app, 1, &["web"]).await;
    let set = json!({ "values": { "A": "1" } });
    let first = keyed(&root, Method::PATCH, "/v1/apps/web/config", "set", set.clone()).await.ok();
    let again = keyed(&root, Method::PATCH, "/v1/apps/web/config", "set", set).await.ok();
    assert_eq!((&again["release"]["id"], &again["deployment"]), (&first["release"]["id"], &first["deployment"]));
    root.patch("/v1/apps/web/config", json!({ "values": { "A": "2" } })).await.refused(409, "conflict");

    let route = root.list("/v1/apps/web/routes").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/apps/web/routes/{route}");
    assert_eq!(keyed(&root, Method::DELETE, &path, "gone", Value::Null).await.status, 204);
    assert_eq!(keyed(&root, Method::DELETE, &path, "gone", Value::Null).await.status, 204);
    keyed(&root, Method::DELETE, &path, "other", Value::Null).await.refused(404, "not_found");
    keyed(&root, Method::DELETE, "/v1/apps/web/routes/x", "gone", Value::Null).await.refused(409, "key_reused");
}

#[tokio::test]
async fn a_secret_is_not_given_out_twice() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let wish = json!({ "label": "ci" });
    let first = keyed(&root, Method::POST, "/v1/tokens", "t", wish.clone()).await.ok();
    let again = keyed(&root, Method::POST, "/v1/tokens", "t", wish).await.refused(409, "conflict");
    let detail = again["detail"].as_str().unwrap();
    assert!(detail.contains(first["token"]["id"].as_str().unwrap()), "{detail}");
    assert_eq!(root.list("/v1/tokens").await.len(), 2);
    let trusted = cluster.trusted();
    keyed(&trusted, Method::POST, "/v1/login", "l", json!({})).await.ok();
    keyed(&trusted, Method::POST, "/v1/login", "l", json!({})).await.refused(409, "conflict");
}

#[tokio::test]
async fn a_change_that_is_meant_for_another_version_is_stale() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    cluster.release(app, 1, &["web"]).await;
    cluster.node("n1").await;
    let cases = [
        ("/v1/apps/web", json!({ "maintenance": true })),
        ("/v1/apps/web/config", json!({ "values": { "A": "1" } })),
        ("/v1/apps/web/formation", json!({ "processes": { "web": { "count": 1 } } })),
        ("/v1/nodes/n1", json!({ "labels": { "zone": "a" } })),
    ];
    for (path, body) in cases {
        let tag = root.get(path).await.tag();
        if_match(&root, Method::PATCH, path, "\"99999\"", body.clone()).await.refused(412, "stale");
        if_match(&root, Method::PATCH, path, "99999", body.clone()).await.refused(400, "malformed");
        let changed = if_match(&root, Method::PATCH, path, &tag, body.clone()).await;
        assert_ne!(changed.tag(), tag, "{path}");
        assert_eq!(changed.tag(), root.get(path).await.tag());
        if_match(&root, Method::PATCH, path, &tag, body.clone()).await.refused(412, "stale");
    }
    if_match(&root, Method::DELETE, "/v1/apps/web?confirm=web", "\"1\"", Value::Null).await.refused(412, "stale");
    let tag = root.get("/v1/teams/default/quota").await.tag();
    assert_eq!(tag, "\"0\"");
    if_match(&root, Method::PUT, "/v1/teams/default/quota", &tag, json!({ "apps": 3 })).await.ok();
    if_match(&root, Method::PUT, "/v1/teams/default/quota", &tag, json!({ "apps": 4 })).await.refused(412, "stale");
    assert_eq!(if_match(&root, Method::PUT, "/v1/teams/default/quota", "*", json!({ "apps": 4 })).await.status, 200);
}
