//! Logging in, tokens, teams and users.

use std::time::Duration;

use serde_json::json;

use super::harness::{Cluster, texts};

#[tokio::test]
async fn root_on_the_machine_logs_in_and_finds_an_administrator_and_a_team() {
    let cluster = Cluster::start().await;
    let trusted = cluster.trusted();
    let issued = trusted.post("/v1/login", json!({ "label": "laptop", "expires_in_s": 60 })).await;
    assert_eq!(issued.status, 201);
    let issued = issued.ok();
    assert_eq!(issued["token"]["label"], "laptop");
    assert_eq!(issued["token"]["user"], "root");
    assert_eq!(issued["token"]["expires_at"], "2027-01-15T08:01:00.000Z");
    let root = cluster.bearer(&issued["secret"]);
    let who = root.get("/v1/whoami").await.ok();
    assert_eq!((&who["kind"], &who["user"], &who["admin"]), (&json!("user"), &json!("root"), &json!(true)));
    assert_eq!(who["token"]["id"], issued["token"]["id"]);
    assert_eq!(who["teams"], json!([{ "team": "default", "team_id": who["teams"][0]["team_id"], "role": "owner" }]));
    let shown = root.get("/v1/tokens").await.text;
    assert!(!shown.contains(issued["secret"].as_str().unwrap()), "the secret is shown once");

    trusted.request(reqwest::Method::POST, "/v1/login").send().await.unwrap().error_for_status().unwrap();
    assert_eq!(texts(&root.list("/v1/users").await, "name"), ["root"]);
    assert_eq!(texts(&root.list("/v1/teams").await, "name"), ["default"]);
    assert_eq!(root.list("/v1/tokens").await.len(), 2);

    root.post("/v1/login", json!({})).await.refused(403, "forbidden");
    cluster.nobody().post("/v1/login", json!({})).await.refused(401, "unauthenticated");
    cluster.clock.advance(Duration::from_secs(60));
    let expired = root.get("/v1/whoami").await;
    assert_eq!(expired.headers["www-authenticate"], "Bearer realm=\"flynn\"");
    assert!(expired.refused(401, "unauthenticated")["detail"].as_str().unwrap().contains("expired"));
}

#[tokio::test]
async fn who_is_trusted_speaks_for_the_first_administrator() {
    let cluster = Cluster::start().await;
    let who = cluster.trusted().get("/v1/whoami").await.ok();
    assert_eq!((&who["kind"], &who["user"], &who["admin"]), (&json!("trusted"), &json!(null), &json!(true)));
    cluster.trusted().post("/v1/tokens", json!({ "label": "x" })).await.refused(409, "conflict");
    cluster.admin().await;
    assert_eq!(cluster.trusted().get("/v1/whoami").await.ok()["user"], "root");
    let issued = cluster.trusted().post("/v1/tokens", json!({ "label": "x" })).await.ok();
    assert_eq!(cluster.bearer(&issued["secret"]).get("/v1/whoami").await.ok()["user"], "root");
}

#[tokio::test]
async fn tokens_open_less_and_never_more_and_can_be_revoked() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    cluster.member("dev", "blue", "developer").await;
    let web = dev.post("/v1/apps", json!({ "name": "web", "team": "red" })).await.ok();
    dev.post("/v1/apps", json!({ "name": "api", "team": "red" })).await.ok();
    dev.post("/v1/apps", json!({ "name": "other", "team": "blue" })).await.ok();

    let red = dev.post("/v1/tokens", json!({ "label": "ci", "team": "red" })).await.ok();
    assert_eq!((&red["token"]["scope"], &red["token"]["of"]), (&json!("team"), &json!("red")));
    let red = cluster.bearer(&red["secret"]);
    assert_eq!(texts(&red.list("/v1/apps").await, "name"), ["api", "web"]);
    let one = red.post("/v1/tokens", json!({ "label": "one", "app": web["id"] })).await.ok();
    let one_app = cluster.bearer(&one["secret"]);
    assert_eq!(texts(&one_app.list("/v1/apps").await, "name"), ["web"]);
    one_app.get("/v1/apps/api").await.refused(404, "not_found");
    one_app.post("/v1/tokens", json!({ "label": "more", "team": "red" })).await.refused(404, "not_found");
    red.post("/v1/tokens", json!({ "label": "more", "team": "blue" })).await.refused(404, "not_found");
    dev.post("/v1/tokens", json!({ "label": "more", "node": "n1" })).await.refused(404, "not_found");
    dev.post("/v1/tokens", json!({ "label": "two", "team": "red", "app": "web" })).await.refused(422, "invalid");
    let again = dev.post("/v1/tokens", json!({ "label": "again" })).await.ok();
    assert_eq!(texts(&cluster.bearer(&again["secret"]).list("/v1/apps").await, "name"), ["api", "other", "web"]);
    let root = dev.post("/v1/tokens", json!({ "label": "root", "user": "root" })).await;
    assert_eq!(root.refused(404, "not_found")["detail"], "there is no user `root`");
    dev.post("/v1/tokens", json!({ "label": "old", "expires_in_s": 0 })).await.refused(422, "invalid");
    dev.post("/v1/tokens", json!({ "label": "bell\u{7}" })).await.refused(422, "invalid");
    dev.post("/v1/tokens", json!({})).await.refused(400, "malformed");

    // What is for less than all that its user may do shows who is in the teams that it opens.
    assert_eq!(texts(&dev.list("/v1/users").await, "name"), ["dev"]);
    let root = cluster.admin().await;
    let of_red = root.post("/v1/tokens", json!({ "label": "red", "team": "red" })).await.ok();
    assert_eq!(texts(&cluster.bearer(&of_red["secret"]).list("/v1/users").await, "name"), ["dev"]);
    assert_eq!(one_app.list("/v1/users").await.len(), 0);

    assert_eq!(one_app.get("/v1/tokens/current").await.ok()["id"], one["token"]["id"]);
    let path = format!("/v1/tokens/{}", one["token"]["id"].as_str().unwrap());
    assert_eq!(dev.delete(&path).await.status, 204);
    one_app.get("/v1/whoami").await.refused(401, "unauthenticated");
    dev.get(&path).await.refused(404, "not_found");
    assert_eq!(dev.delete("/v1/tokens/current").await.status, 204);
    dev.get("/v1/whoami").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn an_administrator_makes_the_first_token_of_a_user_and_no_second() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let dev = cluster.member("dev", "red", "owner").await;
    root.post("/v1/users", json!({ "name": "ada" })).await.ok();
    let wish = json!({ "label": "first", "user": "ada" });
    dev.post("/v1/tokens", wish.clone()).await.refused(404, "not_found");
    let issued = root.post("/v1/tokens", wish.clone()).await.ok();
    let ada = cluster.bearer(&issued["secret"]);
    assert_eq!(ada.get("/v1/whoami").await.ok()["user"], "ada");
    assert_eq!(texts(&ada.list("/v1/users").await, "name"), ["ada"]);
    root.post("/v1/tokens", wish.clone()).await.refused(403, "forbidden");
    assert_eq!(ada.delete("/v1/tokens/current").await.status, 204);
    root.post("/v1/tokens", wish).await.ok();
}

#[tokio::test]
async fn owners_decide_who_is_in_a_team() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let owner = cluster.member("olive", "red", "owner").await;
    let viewer = cluster.member("vera", "red", "viewer").await;
    cluster.trusted().post("/v1/users", json!({ "name": "dev" })).await.ok();

    let member = owner.put("/v1/teams/red/members/dev", json!({ "role": "developer" })).await;
    let tag = member.tag();
    assert_eq!(member.ok()["role"], "developer");
    let changed = owner.put("/v1/teams/red/members/dev", json!({ "role": "viewer" })).await;
    assert_ne!(changed.tag(), tag);
    let members = viewer.list("/v1/teams/red/members").await;
    assert_eq!(texts(&members, "user"), ["dev", "olive", "vera"]);
    assert_eq!(texts(&members, "role"), ["viewer", "owner", "viewer"]);

    viewer.put("/v1/teams/red/members/dev", json!({ "role": "owner" })).await.refused(403, "forbidden");
    viewer.put("/v1/teams/red/members/nobody", json!({ "role": "owner" })).await.refused(403, "forbidden");
    owner.put("/v1/teams/red/members/nobody", json!({ "role": "owner" })).await.refused(404, "not_found");
    owner.put("/v1/teams/red/members/dev", json!({ "role": "boss" })).await.refused(422, "invalid");
    viewer.delete("/v1/teams/red/members/dev").await.refused(403, "forbidden");
    assert_eq!(owner.delete("/v1/teams/red/members/dev").await.status, 204);
    owner.delete("/v1/teams/red/members/dev").await.refused(404, "not_found");
    owner.post("/v1/teams", json!({ "name": "blue" })).await.refused(403, "forbidden");
    owner.post("/v1/users", json!({ "name": "max" })).await.refused(403, "forbidden");
}

#[tokio::test]
async fn administrators_make_and_remove_teams_and_users() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    root.post("/v1/teams", json!({ "name": "Red" })).await.refused(422, "invalid");
    root.post("/v1/teams", json!({ "name": "red" })).await.refused(409, "taken");
    root.post("/v1/users", json!({ "name": "dev" })).await.refused(409, "taken");
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let refused = root.delete("/v1/teams/red").await.refused(409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("still needed"), "{refused}");

    dev.delete("/v1/users/dev").await.refused(403, "forbidden");
    assert_eq!(root.delete("/v1/users/dev").await.status, 204);
    dev.get("/v1/whoami").await.refused(401, "unauthenticated");
    let last = root.delete("/v1/users/root").await.refused(409, "conflict");
    assert!(last["detail"].as_str().unwrap().contains("last administrator"));
    root.post("/v1/teams", json!({ "name": "blue" })).await.ok();
    assert_eq!(root.delete("/v1/teams/blue").await.status, 204);
    root.get("/v1/teams/blue").await.refused(404, "not_found");
}
