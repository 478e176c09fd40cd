//! Apps from their creation to their end.

use flynn_core::Change;
use flynn_core::Scope;
use flynn_core::noun::{App, AppLifecycle, AppStatus, Route};
use flynn_core::port::Store;
use flynn_core::server::api::Edge;
use serde_json::{Value, json};

use super::harness::{Cluster, options, texts};

#[tokio::test]
async fn an_app_says_how_its_deployments_go() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let set = |mode: Value| root.patch("/v1/apps/web", json!({ "deploys": mode }));
    let mode = json!({ "strategy": "in_batches", "batch": "25%", "max_missing": "1", "healthy_for_ms": 5_000 });
    let deploys = set(mode).await.ok()["deploys"].clone();
    assert_eq!((&deploys["batch"], &deploys["max_missing"]), (&json!("25%"), &json!("1")));
    assert_eq!((&deploys["start_deadline_ms"], &deploys["on_failure"]), (&json!(60_000), &json!("roll_back")));
    for (bad, field) in [
        (json!({ "strategy": "big_bang" }), "deploys.strategy"),
        (json!({ "strategy": "in_batches" }), "deploys.batch"),
        (json!({ "strategy": "one_by_one", "batch": "2" }), "deploys.batch"),
        (json!({ "strategy": "in_batches", "batch": "101%" }), "deploys.batch"),
        (json!({ "strategy": "in_batches", "batch": "0" }), "deploys.strategy.size"),
        (json!({ "strategy": "one_by_one", "max_extra": "many" }), "deploys.max_extra"),
        (json!({ "strategy": "one_by_one", "max_extra": "0" }), "deploys.policy.max_missing"),
        (json!({ "strategy": "one_by_one", "on_failure": "cry" }), "deploys.on_failure"),
        (json!({ "strategy": "one_by_one", "healthy_for_ms": u64::MAX }), "deploys.policy.healthy_for"),
        (json!({ "strategy": "usual", "on_failure": "keep" }), "deploys.strategy"),
    ] {
        let refused = set(bad).await.refused(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    let app = cluster.app_id("web").await;
    let release = cluster.release(app, 1, &["web"]).await;
    cluster.commit([Change::report(app, AppStatus { release: Some(release) })]).await;
    root.patch("/v1/apps/web/config", json!({ "values": { "A": "1" } })).await.ok();
    let deployment = root.get("/v1/apps/web/deployments/current").await.ok();
    assert_eq!(deployment["strategy"], "in_batches");
    assert_eq!(set(json!({ "strategy": "usual" })).await.ok().get("deploys"), None);
}

#[tokio::test]
async fn an_app_is_created_with_its_host_and_found_by_name_and_id() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let made = root.post("/v1/apps", json!({ "name": "web" })).await;
    assert_eq!(made.status, 201);
    let tag = made.tag();
    let web = made.ok();
    assert_eq!((&web["name"], &web["team"], &web["state"]), (&json!("web"), &json!("default"), &json!("active")));
    assert_eq!(web["hosts"], json!(["web.apps.example"]));
    assert_eq!((&web["release"], &web["maintenance"]), (&Value::Null, &json!(false)));
    assert_eq!(web["created_at"], "2027-01-15T08:00:00.000Z");
    assert_eq!(tag, format!("\"{}\"", web["version"]));
    let by_id = root.get(&format!("/v1/apps/{}", web["id"].as_str().unwrap())).await;
    assert_eq!(by_id.tag(), tag);
    assert_eq!(by_id.ok(), web);
    assert_eq!(root.get("/v1/apps/web").await.ok(), web);
    let taken = root.post("/v1/apps", json!({ "name": "web" })).await.refused(409, "taken");
    assert!(taken["detail"].as_str().unwrap().contains("taken by app `web`"), "{taken}");
    let bad = root.post("/v1/apps", json!({ "name": "Web" })).await.refused(422, "invalid");
    assert_eq!(bad["errors"][0]["field"], "name");
    root.get("/v1/apps/none").await.refused(404, "not_found");
}

#[tokio::test]
async fn the_url_of_an_app_names_the_port_that_is_not_usual_and_the_shortest_path() {
    let unknown = Cluster::start().await;
    let root = unknown.admin().await;
    assert_eq!(root.post("/v1/apps", json!({ "name": "web" })).await.ok()["url"], Value::Null);

    let check = async |edge: Edge, url: &str| {
        let mut options = options();
        options.edge = Some(edge);
        let cluster = Cluster::with(options).await;
        let root = cluster.admin().await;
        assert_eq!(root.post("/v1/apps", json!({ "name": "web" })).await.ok()["url"], url);
        cluster.clock.advance(std::time::Duration::from_secs(1));
        root.post("/v1/apps/web/domains", json!({ "host": "a.example" })).await.ok();
        assert_eq!(root.get("/v1/apps/web").await.ok()["url"], url, "the first host stays the one that is shown");
        assert_eq!(root.get("/v1/apps").await.ok()["items"][0]["url"], url);
    };
    check(Edge::http(80), "http://web.apps.example").await;
    check(Edge::http(8080), "http://web.apps.example:8080").await;
    check(Edge { scheme: "https".into(), ..Edge::http(443) }, "https://web.apps.example").await;
    check(Edge { scheme: "https".into(), ..Edge::http(80) }, "https://web.apps.example:80").await;
}

#[tokio::test]
async fn a_name_is_made_up_where_none_is_given() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let mut names = Vec::new();
    for _ in 0..20 {
        let app = root.post("/v1/apps", json!({})).await.ok();
        let name = app["name"].as_str().unwrap().to_owned();
        assert_eq!(name.split('-').count(), 3, "{name}");
        assert_eq!(app["hosts"], json!([format!("{name}.apps.example")]));
        names.push(name);
    }
    names.sort();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before);
    assert_eq!(texts(&root.list("/v1/apps").await, "name"), names);
}

#[tokio::test]
async fn the_team_is_known_where_there_is_no_doubt() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    assert_eq!(dev.post("/v1/apps", json!({ "name": "a" })).await.ok()["team"], "red");
    cluster.member("dev", "blue", "developer").await;
    let asked = dev.post("/v1/apps", json!({ "name": "b" })).await.refused(422, "invalid");
    assert!(asked["detail"].as_str().unwrap().contains("blue, red"), "{asked}");
    assert_eq!(dev.post("/v1/apps", json!({ "name": "b", "team": "blue" })).await.ok()["team"], "blue");
    assert_eq!(root.post("/v1/apps", json!({ "name": "c" })).await.ok()["team"], "default");
    dev.post("/v1/apps", json!({ "name": "d", "team": "default" })).await.refused(404, "not_found");
    let viewer = cluster.member("vera", "red", "viewer").await;
    viewer.post("/v1/apps", json!({ "name": "e" })).await.refused(403, "forbidden");
    viewer.post("/v1/apps", json!({ "name": "e", "team": "red" })).await.refused(403, "forbidden");
    assert_eq!(texts(&root.list("/v1/apps?team=blue").await, "name"), ["b"]);
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    for name in ["d", "a", "e", "c", "b"] {
        root.post("/v1/apps", json!({ "name": name })).await.ok();
    }
    let first = root.get("/v1/apps?limit=2").await.ok();
    assert_eq!(texts(first["items"].as_array().unwrap(), "name"), ["a", "b"]);
    root.post("/v1/apps", json!({ "name": "aa" })).await.ok();
    let next = |page: &Value| format!("/v1/apps?limit=2&cursor={}", page["next"].as_str().unwrap());
    let second = root.get(&next(&first)).await.ok();
    assert_eq!(texts(second["items"].as_array().unwrap(), "name"), ["c", "d"]);
    let third = root.get(&next(&second)).await.ok();
    assert_eq!((texts(third["items"].as_array().unwrap(), "name"), &third["next"]), (vec!["e".into()], &Value::Null));
    for bad in ["0", "201"] {
        root.get(&format!("/v1/apps?limit={bad}")).await.refused(422, "invalid");
    }
    root.get("/v1/apps?limit=x").await.refused(400, "malformed");
}

#[tokio::test]
async fn a_renamed_app_takes_its_host_along() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let web = root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    root.post("/v1/apps", json!({ "name": "api" })).await.ok();
    root.post("/v1/apps/web/domains", json!({ "host": "www.example.com" })).await.ok();
    root.patch("/v1/apps/web", json!({ "name": "api" })).await.refused(409, "taken");
    let site = root.patch("/v1/apps/web", json!({ "name": "site" })).await.ok();
    assert_eq!((&site["id"], &site["name"]), (&web["id"], &json!("site")));
    let mut hosts = site["hosts"].as_array().unwrap().clone();
    hosts.sort_by_key(ToString::to_string);
    assert_eq!(hosts, [json!("site.apps.example"), json!("www.example.com")]);
    root.get("/v1/apps/web").await.refused(404, "not_found");
    assert_eq!(root.patch("/v1/apps/site", json!({ "maintenance": true })).await.ok()["maintenance"], true);
    assert_eq!(root.patch("/v1/apps/site", json!({})).await.ok()["maintenance"], true);
    assert_eq!(root.patch("/v1/apps/site", json!({ "maintenance": false })).await.ok()["name"], "site");
    // The host is free for an app of that name.
    assert_eq!(root.post("/v1/apps", json!({ "name": "web" })).await.ok()["hosts"], json!(["web.apps.example"]));
}

#[tokio::test]
async fn an_app_is_destroyed_only_by_who_says_its_name() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let owner = cluster.member("olive", "red", "owner").await;
    let dev = cluster.member("dev", "red", "developer").await;
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    owner.delete("/v1/apps/web").await.refused(422, "invalid");
    owner.delete("/v1/apps/web?confirm=api").await.refused(422, "invalid");
    dev.delete("/v1/apps/web?confirm=web").await.refused(403, "forbidden");
    let begun = owner.delete("/v1/apps/web?confirm=web").await;
    assert_eq!((begun.status, &begun.body["state"]), (202, &json!("destroying")));
    assert_eq!(owner.delete("/v1/apps/web?confirm=web").await.status, 202);
    owner.patch("/v1/apps/web", json!({ "name": "site" })).await.refused(409, "conflict");
    owner.patch("/v1/apps/web/config", json!({ "values": { "A": "1" } })).await.refused(409, "conflict");
    owner.post("/v1/apps/web/domains", json!({ "host": "a.example.com" })).await.refused(409, "conflict");

    // The controller takes it apart.
    let app = cluster.app_id("web").await;
    let objects = cluster.store.snapshot(Scope::All).await.unwrap().objects;
    assert_eq!(objects.get::<App>(app).unwrap().spec.lifecycle, AppLifecycle::Destroying);
    let routes: Vec<Change> = objects.iter::<Route>().map(|route| Change::remove(route.id)).collect();
    cluster.commit(routes.into_iter().chain([Change::remove(app)])).await;
    owner.get("/v1/apps/web").await.refused(404, "not_found");
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
}
