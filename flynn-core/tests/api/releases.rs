//! Releases, rollbacks and deployments.

use flynn_core::Change;
use flynn_core::Scope;
use flynn_core::noun::{AppStatus, Deployment, DeploymentState, DeploymentStatus};
use flynn_core::port::Store;
use serde_json::{Value, json};

use super::harness::{Cluster, texts};

fn numbers(items: &[Value]) -> Vec<u64> {
    items.iter().map(|item| item["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn releases_are_listed_newest_first_and_found_in_the_history() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        cluster.clock.advance(std::time::Duration::from_secs(1));
        ids.push(cluster.release(app, number, &["web"]).await);
    }
    cluster.commit([Change::remove(ids[0])]).await;
    cluster.commit([Change::remove(ids[1])]).await;
    let all = root.get("/v1/apps/web/releases").await.ok();
    assert_eq!((numbers(all["items"].as_array().unwrap()), &all["next"]), (vec![5, 4, 3, 2, 1], &Value::Null));
    let mut seen = Vec::new();
    let mut path = String::from("/v1/apps/web/releases?limit=2");
    loop {
        let page = root.get(&path).await.ok();
        seen.extend(numbers(page["items"].as_array().unwrap()));
        assert!(seen.len() <= 5);
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/apps/web/releases?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    for text in ["5", "v5", &ids[4].to_string()] {
        let release = root.get(&format!("/v1/apps/web/releases/{text}")).await.ok();
        assert_eq!((&release["number"], &release["current"]), (&json!(5), &json!(true)));
    }
    assert_eq!(root.get("/v1/apps/web/releases/v1").await.ok()["number"], 1);
    root.get("/v1/apps/web/releases/v6").await.refused(404, "not_found");
    for bad in ["x", "live-1", "live-x-y", "past-", "past-1"] {
        root.get(&format!("/v1/apps/web/releases?cursor={bad}")).await.refused(400, "malformed");
    }
}

async fn finish(cluster: &Cluster) {
    let objects = cluster.store.snapshot(Scope::All).await.unwrap().objects;
    let open = objects.iter::<Deployment>().find(|deployment| !deployment.status.state.is_end()).unwrap();
    let status = DeploymentStatus { state: DeploymentState::Done, ..open.status.clone() };
    let served = AppStatus { release: Some(open.spec.to) };
    cluster.commit([Change::report(open.id, status), Change::report(open.spec.app, served)]).await;
}

#[tokio::test]
async fn a_rollback_is_a_release_like_the_one_gone_back_to() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    root.post("/v1/apps/web/rollback", json!({})).await.refused(409, "conflict");
    let app = cluster.app_id("web").await;
    cluster.release(app, 1, &["web"]).await;
    root.post("/v1/apps/web/rollback", json!({})).await.refused(409, "conflict");
    root.patch("/v1/apps/web/config", json!({ "values": { "A": "1" } })).await.ok();
    finish(&cluster).await;
    cluster.clock.advance(std::time::Duration::from_secs(1));

    let back = root.post("/v1/apps/web/rollback", json!({})).await;
    assert_eq!(back.status, 201);
    let back = back.ok();
    let release = &back["release"];
    assert_eq!((&release["number"], &release["cause"]), (&json!(3), &json!("rollback")));
    assert_eq!((&release["description"], &release["config"]), (&json!("rollback to v1"), &json!([])));
    assert_eq!((&back["deployment"]["from"], &back["deployment"]["to"]), (&json!(2), &json!(3)));
    assert_eq!(root.get("/v1/apps/web/config").await.ok()["values"], json!({}));
    root.post("/v1/apps/web/rollback", json!({ "release": 2 })).await.refused(422, "invalid");
    root.post("/v1/apps/web/rollback", json!({ "release": 1 })).await.refused(409, "conflict");
    root.post("/v1/apps/web/rollback", json!({ "release": 9 })).await.refused(404, "not_found");
    finish(&cluster).await;
    // From a rollback one goes back to what it took over from, and not to what it copied.
    let again = root.post("/v1/apps/web/rollback", json!({})).await.ok();
    assert_eq!(again["release"]["description"], "rollback to v2");
    assert_eq!(again["release"]["config"], json!(["A"]));
}

#[tokio::test]
async fn a_deployment_is_held_goes_on_and_is_aborted() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    cluster.release(app, 1, &["web"]).await;
    root.get("/v1/apps/web/deployments/current").await.refused(404, "not_found");
    let id = root.patch("/v1/apps/web/config", json!({ "values": { "A": "1" } })).await.ok()["deployment"].clone();
    let path = format!("/v1/apps/web/deployments/{}", id.as_str().unwrap());
    let held = root.post(&format!("{path}/pause"), json!({})).await;
    assert_eq!((held.status, &held.body["desired"]), (202, &json!("pause")));
    let on = root.post("/v1/apps/web/deployments/current/resume", json!({})).await.ok();
    assert_eq!(on["desired"], "proceed");
    assert_eq!(root.post(&format!("{path}/abort"), json!({})).await.ok()["desired"], "abort");
    root.post(&format!("{path}/resume"), json!({})).await.refused(422, "invalid");
    finish(&cluster).await;
    root.post(&format!("{path}/abort"), json!({})).await.refused(409, "conflict");
    let ended = root.get(&path).await.ok();
    assert_eq!((&ended["state"], &ended["ended"]), (&json!("done"), &json!(true)));
    cluster.commit([Change::remove(id.as_str().unwrap().parse::<flynn_core::noun::DeploymentId>().unwrap())]).await;
    assert_eq!(root.get(&path).await.ok()["state"], "done", "it is in the history");
    assert_eq!(texts(&root.list("/v1/apps/web/deployments").await, "id"), [id.as_str().unwrap()]);
    root.post("/v1/apps", json!({ "name": "api" })).await.ok();
    root.get(&path.replace("web", "api")).await.refused(404, "not_found");
}
