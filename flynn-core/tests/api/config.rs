//! Configurations.

use flynn_core::Scope;
use flynn_core::noun::{App, Release};
use flynn_core::port::Store;
use serde_json::{Value, json};

use super::harness::{Cluster, texts};

#[tokio::test]
async fn variables_are_set_and_unset_and_kept_sealed() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let set = json!({ "values": { "COLOUR": "red", "SECRET": "hunter2", "EMPTY": "" } });
    let changed = root.patch("/v1/apps/web/config", set).await.ok();
    assert_eq!(changed["config"]["values"], json!({ "COLOUR": "red", "EMPTY": "", "SECRET": "hunter2" }));
    assert_eq!((&changed["release"], &changed["deployment"]), (&Value::Null, &Value::Null));
    let change = json!({ "values": { "COLOUR": null, "NEVER": null, "SECRET": "hunter3" } });
    root.patch("/v1/apps/web/config", change).await.ok();
    assert_eq!(root.get("/v1/apps/web/config").await.ok()["values"], json!({ "EMPTY": "", "SECRET": "hunter3" }));
    let stored = format!("{:?}", cluster.store.snapshot(Scope::All).await.unwrap().objects.iter::<App>().next());
    assert!(!stored.contains("hunter"), "{stored}");
}

#[tokio::test]
async fn a_change_makes_a_release_and_a_deployment() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    cluster.release(app, 1, &["web"]).await;
    let changed = root.patch("/v1/apps/web/config", json!({ "values": { "B": "2", "A": "1" } })).await.ok();
    let release = &changed["release"];
    assert_eq!((&release["number"], &release["cause"]), (&json!(2), &json!("config")));
    assert_eq!((&release["description"], &release["config"]), (&json!("set A, B"), &json!(["A", "B"])));
    assert_eq!((&release["commit"], &release["current"]), (&json!("c1"), &json!(false)));
    assert!(release["processes"]["web"]["command"].is_array());
    let deployment = root.get("/v1/apps/web/deployments/current").await.ok();
    assert_eq!(deployment["id"], changed["deployment"]);
    assert_eq!(
        (&deployment["from"], &deployment["to"], &deployment["state"]),
        (&json!(1), &json!(2), &json!("pending"))
    );

    // The values of the release are those of the app, and open only for it.
    let objects = cluster.store.snapshot(Scope::All).await.unwrap().objects;
    let stored = objects.iter::<Release>().find(|release| release.spec.number == 2).unwrap();
    assert_eq!(stored.spec.env, objects.get::<App>(app).unwrap().spec.env);

    // Nothing changes: neither release nor deployment, also while one is under way.
    let same = root.patch("/v1/apps/web/config", json!({ "values": { "A": "1", "C": null } })).await.ok();
    assert_eq!((&same["release"], &same["deployment"]), (&Value::Null, &Value::Null));
    assert_eq!(root.list("/v1/apps/web/releases").await.len(), 2);
    let refused = root.patch("/v1/apps/web/config", json!({ "values": { "A": "3" } })).await.refused(409, "conflict");
    assert!(refused["detail"].as_str().unwrap().contains("deployment of v2 is under way"), "{refused}");
    assert_eq!(root.get("/v1/apps/web/config").await.ok()["values"]["A"], "1", "nothing was changed");
}

#[tokio::test]
async fn every_wrong_variable_is_named_and_nothing_is_changed() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let values =
        json!({ "GOOD": "1", "A-B": "1", "PORT": "80", "NUL": "a\u{0}b", "LONG": "x".repeat((128 << 10) + 1) });
    let refused = root.patch("/v1/apps/web/config", json!({ "values": values })).await.refused(422, "invalid");
    let fields = texts(refused["errors"].as_array().unwrap(), "field");
    assert_eq!(fields, ["values.A-B", "values.LONG", "values.NUL", "values.PORT"]);
    assert_eq!(root.get("/v1/apps/web/config").await.ok()["values"], json!({}));
    let typed = root.patch("/v1/apps/web/config", json!({ "values": { "A": 7 } })).await.refused(400, "malformed");
    assert_eq!(typed["errors"][0]["field"], "values.A");
}

#[tokio::test]
async fn viewers_see_names_and_no_values() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    let viewer = cluster.member("vera", "red", "viewer").await;
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    dev.patch("/v1/apps/web/config", json!({ "values": { "SECRET": "hunter2" } })).await.ok();
    let seen = viewer.get("/v1/apps/web/config").await;
    assert!(!seen.text.contains("hunter2"));
    assert_eq!(seen.ok()["values"], json!({ "SECRET": null }));
    viewer.patch("/v1/apps/web/config", json!({ "values": { "A": "1" } })).await.refused(403, "forbidden");
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_kept() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let set = |number: u32| {
        let root = root.clone();
        async move {
            let values = json!({ format!("K{number}"): number.to_string() });
            root.patch("/v1/apps/web/config", json!({ "values": values })).await.ok();
        }
    };
    let tasks: Vec<_> = (0..6).map(|number| tokio::spawn(set(number))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let values = root.get("/v1/apps/web/config").await.ok()["values"].clone();
    assert_eq!(values.as_object().unwrap().len(), 6, "{values}");
}
