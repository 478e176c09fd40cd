//! Hosts and routes.

use serde_json::json;

use super::harness::{Cluster, texts};

#[tokio::test]
async fn hosts_come_and_go() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let added = root.post("/v1/apps/web/domains", json!({ "host": "WWW.Example.com." })).await;
    assert_eq!(added.status, 201);
    assert_eq!(added.ok()["host"], "www.example.com");
    root.post("/v1/apps/web/routes", json!({ "host": "www.example.com", "path": "/api", "process": "api" })).await.ok();
    root.post("/v1/apps/web/domains", json!({ "host": "*.shop.example.com" })).await.ok();
    let domains = root.list("/v1/apps/web/domains").await;
    assert_eq!(texts(&domains, "host"), ["*.shop.example.com", "web.apps.example", "www.example.com"]);
    assert_eq!((&domains[1]["is_default"], &domains[2]["is_default"]), (&json!(true), &json!(false)));
    assert_eq!(domains[2]["routes"].as_array().unwrap().len(), 2);
    assert_eq!(root.delete("/v1/apps/web/domains/www.example.com").await.status, 204);
    assert_eq!(root.delete("/v1/apps/web/domains/*.shop.example.com").await.status, 204);
    root.delete("/v1/apps/web/domains/www.example.com").await.refused(404, "not_found");
    root.delete("/v1/apps/web/domains/not%20a%20host").await.refused(404, "not_found");
    assert_eq!(root.list("/v1/apps/web/routes").await.len(), 1);
    for bad in ["", "a b", "127.0.0.1", "http://example.com", "*.*.example.com"] {
        let refused = root.post("/v1/apps/web/domains", json!({ "host": bad })).await.refused(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], "host");
    }
}

#[tokio::test]
async fn routes_say_what_they_were_asked_to_be() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let wish =
        json!({ "host": "a.example.com", "path": "/v2/", "process": "api", "sticky": true, "redirect_https": true });
    let made = root.post("/v1/apps/web/routes", wish).await;
    let tag = made.tag();
    let route = made.ok();
    assert_eq!((&route["kind"], &route["path"], &route["process"]), (&json!("http"), &json!("/v2"), &json!("api")));
    assert_eq!((&route["sticky"], &route["redirect_https"]), (&json!(true), &json!(true)));
    let path = format!("/v1/apps/web/routes/{}", route["id"].as_str().unwrap());
    let shown = root.get(&path).await;
    assert_eq!(shown.tag(), tag);
    assert_eq!(shown.ok(), route);
    root.post("/v1/apps/web/routes", json!({ "host": "a.example.com", "path": "/v2" })).await.refused(409, "taken");
    root.post("/v1/apps/web/routes", json!({ "host": "b.example.com", "path": "v2" })).await.refused(422, "invalid");
    root.post("/v1/apps/web/routes", json!({ "host": "b.example.com", "process": "A" })).await.refused(422, "invalid");
    root.post("/v1/apps/web/routes", json!({ "host": "b.example.com", "kind": "udp" })).await.refused(422, "invalid");
    root.post("/v1/apps", json!({ "name": "api" })).await.ok();
    root.delete(&path.replace("/web/", "/api/")).await.refused(404, "not_found");
    assert_eq!(root.delete(&path).await.status, 204);
    root.get(&path).await.refused(404, "not_found");
}

#[tokio::test]
async fn of_two_who_want_one_host_one_gets_it_and_the_other_learns_no_more_than_that() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let red = cluster.member("rita", "red", "developer").await;
    let blue = cluster.member("bob", "blue", "developer").await;
    red.post("/v1/apps", json!({ "name": "ruby" })).await.ok();
    blue.post("/v1/apps", json!({ "name": "sapphire" })).await.ok();
    for round in 0..10 {
        let host = json!({ "host": format!("r{round}.example.com") });
        let (one, other) = tokio::join!(
            red.post("/v1/apps/ruby/domains", host.clone()),
            blue.post("/v1/apps/sapphire/domains", host.clone()),
        );
        let (won, lost) = if one.status == 201 { (one, other) } else { (other, one) };
        assert_eq!(won.status, 201, "{won:?}");
        let refused = lost.refused(409, "taken");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("is taken") && !detail.contains("ruby") && !detail.contains("sapphire"), "{detail}");
    }
    // Of one's own team the holder is named.
    red.post("/v1/apps", json!({ "name": "garnet" })).await.ok();
    red.post("/v1/apps/ruby/domains", json!({ "host": "own.example.com" })).await.ok();
    let own = red.post("/v1/apps/garnet/domains", json!({ "host": "own.example.com" })).await.refused(409, "taken");
    assert!(own["detail"].as_str().unwrap().contains("taken by app `ruby`"), "{own}");
    // So it is with names.
    let name = blue.post("/v1/apps", json!({ "name": "ruby" })).await.refused(409, "taken");
    assert!(!name.to_string().contains("red"), "{name}");
}

#[tokio::test]
async fn hosts_below_the_domain_of_the_cluster_follow_names() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    for host in ["apps.example", "api.apps.example", "*.apps.example", "a.web.apps.example"] {
        dev.post("/v1/apps/web/domains", json!({ "host": host })).await.refused(422, "invalid");
    }
    dev.post("/v1/apps/web/domains", json!({ "host": "otherapps.example" })).await.ok();
    root.post("/v1/apps/web/domains", json!({ "host": "api.apps.example" })).await.ok();
    assert_eq!(dev.delete("/v1/apps/web/domains/web.apps.example").await.status, 204);
    dev.post("/v1/apps/web/domains", json!({ "host": "web.apps.example" })).await.ok();
}
