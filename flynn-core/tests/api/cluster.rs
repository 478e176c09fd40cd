//! Nodes, quotas, the audit record, and what those who watch ask.

use std::time::Duration;

use flynn_core::Revision;
use flynn_core::port::{Beat, Member, Presence};
use serde_json::json;

use super::harness::{Cluster, options, texts};

#[tokio::test]
async fn nodes_are_shown_labelled_drained_and_removed() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let node = cluster.node("n1").await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    let release = cluster.release(app, 1, &["web"]).await;
    cluster.job(app, release, "web", 1, node).await;
    let beat = Beat { incarnation: "1".into(), acknowledged: Revision::ZERO };
    cluster.presence.beat(Member::Node(node), beat, Duration::from_secs(10)).await.unwrap();
    let shown = root.get("/v1/nodes/n1").await.ok();
    assert_eq!(
        (&shown["liveness"], &shown["scheduling"], &shown["jobs"]),
        (&json!("ready"), &json!("open"), &json!(1))
    );
    assert_eq!((&shown["used"]["memory_bytes"], &shown["capacity"]["cpu_millis"]), (&json!(512 << 20), &json!(8_000)));
    assert_eq!(shown["seen_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(texts(&root.list("/v1/nodes").await, "name"), ["n1"]);

    let labels = json!({ "labels": { "zone": "a", "disk": "ssd" } });
    root.patch("/v1/nodes/n1", labels).await.ok();
    let changed = root.patch("/v1/nodes/n1", json!({ "labels": { "zone": "b", "disk": null } })).await.ok();
    assert_eq!(changed["labels"], json!({ "zone": "b" }));
    let bad = root.patch("/v1/nodes/n1", json!({ "labels": { "/": "a", "zone": "-" } })).await.refused(422, "invalid");
    assert_eq!(texts(bad["errors"].as_array().unwrap(), "field"), ["labels./", "labels.zone"]);
    assert_eq!(root.post("/v1/nodes/n1/drain", json!({})).await.ok()["scheduling"], "draining");
    assert_eq!(root.post("/v1/nodes/n1/undrain", json!({})).await.ok()["scheduling"], "open");

    let issued = root.post("/v1/tokens", json!({ "label": "agent", "node": "n1" })).await.ok();
    assert_eq!((&issued["token"]["scope"], &issued["token"]["of"]), (&json!("node"), &json!("n1")));
    let agent = cluster.bearer(&issued["secret"]);
    assert_eq!(agent.get("/v1/whoami").await.ok()["kind"], "node");
    agent.get("/v1/apps/web").await.refused(404, "not_found");
    agent.get("/v1/nodes").await.refused(403, "forbidden");
    let needed = root.delete("/v1/nodes/n1").await.refused(409, "conflict");
    assert!(needed["detail"].as_str().unwrap().contains("still needed by a job"), "{needed}");
    cluster.node("n2").await;
    root.post("/v1/tokens", json!({ "label": "agent", "node": "n2" })).await.ok();
    assert_eq!(root.delete("/v1/nodes/n2").await.status, 204);
    root.get("/v1/nodes/n2").await.refused(404, "not_found");
}

#[tokio::test]
async fn quotas_are_set_shown_and_kept() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let dev = cluster.member("dev", "red", "owner").await;
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let quota = dev.get("/v1/teams/red/quota").await.ok();
    assert_eq!(
        (&quota["limits"]["apps"], &quota["used"]["apps"], &quota["version"]),
        (&json!(null), &json!(1), &json!(0))
    );
    dev.put("/v1/teams/red/quota", json!({ "apps": 100 })).await.refused(403, "forbidden");
    let set = root.put("/v1/teams/red/quota", json!({ "apps": 1, "memory_bytes": 1 << 30 })).await.ok();
    assert_eq!((&set["limits"]["apps"], &set["limits"]["routes"]), (&json!(1), &json!(null)));
    let over = dev.post("/v1/apps", json!({ "name": "api" })).await.refused(409, "over_quota");
    assert!(over["detail"].as_str().unwrap().contains("quota of apps: 1 allowed, 1 used, 1 more asked for"), "{over}");
    dev.put("/v1/teams/red/quota", json!({})).await.refused(403, "forbidden");
    root.put("/v1/teams/red/quota", json!({})).await.ok();
    dev.post("/v1/apps", json!({ "name": "api" })).await.ok();
}

#[tokio::test]
async fn a_quota_for_every_team_holds_where_no_other_does() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let dev = cluster.member("dev", "red", "owner").await;
    for refused in [dev.get("/v1/default-quota").await, dev.put("/v1/default-quota", json!({ "apps": 9 })).await] {
        refused.refused(403, "forbidden");
    }
    let none = root.get("/v1/default-quota").await.ok();
    assert_eq!((&none["limits"]["apps"], &none["version"]), (&json!(null), &json!(0)));
    root.put("/v1/default-quota", json!({ "apps": 1, "instance_pids": 100 })).await.ok();
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    dev.post("/v1/apps", json!({ "name": "api" })).await.refused(409, "over_quota");
    let own = dev.list("/v1/quotas").await;
    assert_eq!(texts(&own, "name"), ["red"]);
    assert_eq!((&own[0]["limits"]["apps"], &own[0]["effective"]["apps"]), (&json!(null), &json!(1)));
    assert_eq!(texts(&root.list("/v1/quotas").await, "name"), ["default", "red"]);
    let raised = root.put("/v1/teams/red/quota", json!({ "apps": 2 })).await.ok();
    let held = (&raised["effective"]["apps"], &raised["effective"]["instance_pids"], &raised["used"]["apps"]);
    assert_eq!(held, (&json!(2), &json!(100), &json!(1)));
    dev.post("/v1/apps", json!({ "name": "api" })).await.ok();
    let bad = root.put("/v1/default-quota", json!({ "instance_memory_bytes": 1 })).await.refused(422, "invalid");
    assert_eq!(bad["errors"][0]["field"], "instance_memory_bytes");
}

#[tokio::test]
async fn administrators_see_who_changed_what() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    let app = dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    dev.patch("/v1/apps/web", json!({ "maintenance": true })).await.ok();
    let page = root.get("/v1/audit?limit=1").await.ok();
    assert_eq!((&page["items"][0]["user"], page["items"][0]["objects"].as_array().unwrap().len()), (&json!("dev"), 1));
    assert_eq!(page["items"][0]["objects"][0], json!({ "kind": "app", "id": app["id"], "app": app["id"] }));
    let next = root.get(&format!("/v1/audit?limit=1&cursor={}", page["next"].as_str().unwrap())).await.ok();
    let kinds = texts(next["items"][0]["objects"].as_array().unwrap(), "kind");
    assert_eq!((kinds, &next["next"]), (vec!["app".to_owned(), "route".to_owned()], &json!(null)));
    dev.get("/v1/audit").await.refused(403, "forbidden");
    root.get("/v1/audit?cursor=x").await.refused(400, "malformed");
}

#[tokio::test]
async fn those_who_watch_need_no_token_but_for_numbers() {
    let cluster = Cluster::start().await;
    let nobody = cluster.nobody();
    for path in ["/healthz", "/readyz", "/v1/openapi.json"] {
        assert_eq!(nobody.get(path).await.status, 200, "{path}");
    }
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    root.get("/v1/apps/none").await.refused(404, "not_found");
    nobody.get("/metrics").await.refused(401, "unauthenticated");
    let metrics = root.get("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "# TYPE flynn_store_revision gauge",
        "flynn_objects{kind=\"app\",state=\"active\"} 1",
        "flynn_objects{kind=\"job\",state=\"\"} 0",
        "flynn_objects{kind=\"route\",state=\"\"} 1",
        "flynn_http_requests_total{method=\"POST\",path=\"/v1/apps\",status=\"201\"} 1",
        "flynn_http_requests_total{method=\"GET\",path=\"/v1/apps/{app}\",status=\"404\"} 1",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line}\n{}", metrics.text);
    }
    for line in metrics.text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("flynn_") && value.parse::<f64>().is_ok(), "{line}");
    }
    let mut options = options();
    options.open_metrics = true;
    assert_eq!(Cluster::with(options).await.nobody().get("/metrics").await.status, 200);
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_begun_and_all_is_readable() {
    let options = options();
    let readiness = options.readiness.clone();
    let cluster = Cluster::with(options).await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    readiness.set_disk_problem(Some("only 0 bytes are free".to_owned()));
    let not_ready = cluster.nobody().get("/readyz").await;
    assert!(not_ready.text.contains("data disk: only 0 bytes are free"), "{}", not_ready.text);
    not_ready.refused(503, "disk_full");
    assert_eq!(cluster.nobody().get("/healthz").await.status, 200);
    let refused = root.post("/v1/apps", json!({ "name": "other" })).await;
    assert!(refused.text.contains("the data disk is full: only 0 bytes are free"), "{}", refused.text);
    refused.refused(507, "disk_full");
    let apps = root.get("/v1/apps").await.ok();
    assert_eq!(texts(apps["items"].as_array().unwrap(), "name"), ["web"]);
    // Taking away may be what makes room.
    assert!(root.delete("/v1/apps/web?confirm=web").await.status < 300);
    readiness.set_disk_problem(None);
    assert_eq!(cluster.nobody().get("/readyz").await.status, 200);
    root.post("/v1/apps", json!({ "name": "other" })).await.ok();
}
