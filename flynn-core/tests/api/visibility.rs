//! What a caller may not read looks like what is not there.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Cluster, Reply, send};

/// What tells one refusal from another, but for the name that was asked for.
fn shape(reply: &Reply, name: &str) -> (u16, Value, String) {
    let mut body = reply.body.clone();
    body.as_object_mut().unwrap().remove("request_id");
    let text = body.to_string().replace(name, "NAME");
    (reply.status, body["code"].clone(), text)
}

#[tokio::test]
async fn another_teams_app_is_like_none_for_every_route() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let owner = cluster.member("olive", "red", "owner").await;
    let stranger = cluster.member("stan", "blue", "owner").await;
    owner.post("/v1/apps", json!({ "name": "hidden" })).await.ok();
    let id = owner.get("/v1/apps/hidden").await.ok()["id"].as_str().unwrap().to_owned();
    let app = cluster.app_id("hidden").await;
    cluster.release(app, 1, &["web"]).await;
    let document = cluster.nobody().get("/v1/openapi.json").await.ok();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/apps/{app}") {
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            let filled = |app: &str| {
                let path = path.replace("{app}", app);
                let rest: Vec<&str> =
                    path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
                rest.join("/")
            };
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = json!({
                "values": {}, "processes": {}, "host": "x.example.com", "command": ["true"], "chain": "", "key": "",
            });
            let body = body.to_string();
            let ask = async |app: &str| {
                let request = stranger.request(method.clone(), &format!("{}?confirm={app}", filled(app)));
                send(request.body(body.clone())).await
            };
            for (there, none) in [("hidden", "absent"), (id.as_str(), "01890000-0000-7000-8000-000000000000")] {
                let (there_reply, none_reply) = (ask(there).await, ask(none).await);
                assert_eq!(there_reply.status, 404, "{method} {path}: {there_reply:?}");
                assert_eq!(shape(&there_reply, there), shape(&none_reply, none), "{method} {path}");
            }
            asked += 1;
        }
    }
    assert!(asked >= 25, "{asked}");
    assert_eq!(stranger.list("/v1/apps").await, Vec::<Value>::new());
    assert_eq!(owner.list("/v1/apps").await.len(), 1);
}

#[tokio::test]
async fn what_belongs_to_the_cluster_or_to_others_is_like_none() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    cluster.member("olive", "red", "owner").await;
    let stranger = cluster.member("stan", "blue", "owner").await;
    cluster.node("n1").await;
    let token = root.get("/v1/tokens/current").await.ok()["id"].as_str().unwrap().to_owned();
    for (there, none) in [
        ("/v1/nodes/n1", "/v1/nodes/n9"),
        ("/v1/teams/red", "/v1/teams/none"),
        ("/v1/teams/red/members", "/v1/teams/none/members"),
        ("/v1/teams/red/quota", "/v1/teams/none/quota"),
        ("/v1/users/olive", "/v1/users/nobody"),
        (&format!("/v1/tokens/{token}"), "/v1/tokens/01890000-0000-7000-8000-000000000000"),
    ] {
        let name = |path: &str| path.split('/').nth(3).unwrap().to_owned();
        let (there_reply, none_reply) = (stranger.get(there).await, stranger.get(none).await);
        assert_eq!(there_reply.status, 404, "{there}: {there_reply:?}");
        assert_eq!(shape(&there_reply, &name(there)), shape(&none_reply, &name(none)));
        assert_eq!(root.get(there).await.status, 200, "{there}");
        let method = if there.ends_with("quota") { Method::PUT } else { Method::DELETE };
        if !there.ends_with("members") {
            send(stranger.request(method, there).body("{}")).await.refused(404, "not_found");
        }
    }
    stranger.post("/v1/nodes/n1/drain", json!({})).await.refused(404, "not_found");
    stranger.put("/v1/teams/red/members/stan", json!({ "role": "owner" })).await.refused(404, "not_found");
    assert_eq!(stranger.list("/v1/users").await.len(), 1, "oneself");
}
