//! Scaling, and what becomes of single jobs.

use flynn_core::noun::{Desired, Exit, Job, JobState, JobStatus};
use flynn_core::port::Store;
use flynn_core::{Change, JobId, Scope};
use serde_json::{Value, json};

use super::harness::{Cluster, START, texts};

#[tokio::test]
async fn process_types_of_the_release_are_scaled_and_others_are_refused() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let scale = |processes: Value| json!({ "processes": processes });
    let early = root.patch("/v1/apps/web/formation", scale(json!({ "web": { "count": 1 } }))).await;
    assert!(early.refused(422, "invalid")["detail"].as_str().unwrap().contains("no release yet"));
    let app = cluster.app_id("web").await;
    let release = cluster.release(app, 1, &["web", "worker"]).await;
    let node = cluster.node("n1").await;
    cluster.job(app, release, "web", 1, node).await;

    let before = root.get("/v1/apps/web/formation").await.ok();
    assert_eq!((&before["processes"]["web"]["count"], &before["processes"]["web"]["up"]), (&json!(0), &json!(1)));
    assert_eq!(before["version"], 0);
    let change = scale(json!({ "web": { "count": 2 }, "worker": { "count": 1, "memory_bytes": 1 << 28 } }));
    let scaled = root.patch("/v1/apps/web/formation", change).await.ok();
    let expected =
        json!({ "count": 1, "up": 0, "cpu_millis": 0, "memory_bytes": 1 << 28, "disk_bytes": 1 << 30, "pids": 512 });
    assert_eq!(scaled["processes"]["worker"], expected);
    let scaled = root.patch("/v1/apps/web/formation", scale(json!({ "worker": { "count": 0 } }))).await.ok();
    assert_eq!(scaled["processes"]["web"]["count"], 2, "what is not named stays");
    assert_eq!(scaled["processes"]["worker"]["memory_bytes"], 1 << 28);

    let unknown = scale(json!({ "wrong": { "count": 1 }, "web": { "count": 9 } }));
    let refused = root.patch("/v1/apps/web/formation", unknown).await.refused(422, "invalid");
    assert_eq!(refused["errors"][0]["field"], "processes.wrong");
    assert!(refused["errors"][0]["detail"].as_str().unwrap().contains("it has web, worker"), "{refused}");
    assert_eq!(root.get("/v1/apps/web/formation").await.ok()["processes"]["web"]["count"], 2);
    let many = root.patch("/v1/apps/web/formation", scale(json!({ "web": { "count": 10_001 } }))).await;
    assert_eq!(many.refused(422, "invalid")["errors"][0]["field"], "processes.web.count");
    for asker in [&root, &cluster.trusted()] {
        for (what, amount, range) in [
            ("memory_bytes", 0, "0 is not from 8 MiB to 16 GiB"),
            ("memory_bytes", 1_u64 << 40, "1024 GiB is not from 8 MiB to 16 GiB"),
            ("pids", 100_000, "100000 is not from 8 to 32768"),
        ] {
            let sized = scale(json!({ "web": { what: amount } }));
            let refused = asker.patch("/v1/apps/web/formation", sized).await.refused(422, "invalid");
            let error = &refused["errors"][0];
            assert_eq!((&error["field"], &error["detail"]), (&json!(format!("processes.web.{what}")), &json!(range)));
            let run = json!({ "command": ["true"], "detach": true, what: amount });
            let refused = asker.post("/v1/apps/web/run", run).await.refused(422, "invalid");
            assert_eq!(refused["errors"][0]["field"], format!("resources.{what}"));
        }
    }
    for bad in [json!({ "count": -1 }), json!({ "count": "two" }), json!(7)] {
        root.patch("/v1/apps/web/formation", scale(json!({ "web": bad }))).await.refused(400, "malformed");
    }
}

#[tokio::test]
async fn placement_is_set_whole_and_what_cannot_be_is_refused_by_its_field() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    cluster.release(app, 1, &["web"]).await;
    for (node, zone) in [("n1", "a"), ("n2", "b")] {
        cluster.node(node).await;
        root.patch(&format!("/v1/nodes/{node}"), json!({ "labels": { "zone": zone } })).await.ok();
    }
    let place = |placement: Value| json!({ "processes": { "web": { "placement": placement } } });
    let rules = json!({ "constraints": ["zone in a, b", "zone != c"], "spread": "zone", "most_per_node": 2 });
    let set = root.patch("/v1/apps/web/formation", place(rules.clone())).await.ok();
    assert_eq!(set["processes"]["web"]["placement"], rules);
    let counted = root.patch("/v1/apps/web/formation", json!({ "processes": { "web": { "count": 3 } } })).await.ok();
    assert_eq!(counted["processes"]["web"]["placement"], rules, "what is not named stays");
    for (bad, field) in [
        (json!({ "constraints": ["zone = a", "zone"] }), "constraints.1"),
        (json!({ "constraints": ["rack = 1"] }), "constraints.0"),
        (json!({ "constraints": ["zone = c"] }), "constraints.0"),
        (json!({ "constraints": ["zone = a", "zone = b"] }), "constraints"),
        (json!({ "spread": "rack" }), "spread"),
        (json!({ "spread": "-" }), "spread"),
        (json!({ "most_per_node": 0 }), "most_per_node"),
    ] {
        let refused = root.patch("/v1/apps/web/formation", place(bad)).await.refused(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], format!("processes.web.placement.{field}"), "{refused}");
    }
    root.patch("/v1/nodes/n2", json!({ "labels": { "zone": null } })).await.ok();
    root.patch("/v1/nodes/n1", json!({ "labels": { "zone": null } })).await.ok();
    root.patch("/v1/apps/web/formation", json!({ "processes": { "web": { "count": 2 } } })).await.ok();
    let cleared = root.patch("/v1/apps/web/formation", place(json!({}))).await.ok();
    assert_eq!(cleared["processes"]["web"].get("placement"), None);
}

#[tokio::test]
async fn jobs_are_shown_as_they_are_and_as_they_ended() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    let release = cluster.release(app, 3, &["web", "worker"]).await;
    let node = cluster.node("n1").await;
    let web = cluster.job(app, release, "web", 1, node).await;
    cluster.job(app, release, "worker", 1, node).await;
    let job = root.get("/v1/apps/web/jobs/web.1").await.ok();
    assert_eq!((&job["id"], &job["name"], &job["process"]), (&json!(web), &json!("web.1"), &json!("web")));
    assert_eq!(
        (&job["state"], &job["healthy"], &job["address"]),
        (&json!("up"), &json!(true), &json!("10.0.0.2:8080"))
    );
    assert_eq!((&job["release"], &job["node"], &job["desired"]), (&json!(3), &json!("n1"), &json!("up")));
    assert_eq!(job["since"], "2027-01-15T08:00:00.000Z");
    let mut names = texts(&root.list("/v1/apps/web/jobs").await, "name");
    names.sort();
    assert_eq!(names, ["web.1", "worker.1"]);
    assert_eq!(texts(&root.list("/v1/apps/web/jobs?process=web").await, "name"), ["web.1"]);

    let exited = JobStatus { state: JobState::Exited(Exit::OutOfMemory), since: START };
    cluster.commit([Change::report(web, exited)]).await;
    cluster.commit([Change::remove(web)]).await;
    assert_eq!(texts(&root.list("/v1/apps/web/jobs").await, "name"), ["worker.1"]);
    assert_eq!(texts(&root.list("/v1/apps/web/jobs?ended=true").await, "name"), ["worker.1", "web.1"]);
    let ended = root.get(&format!("/v1/apps/web/jobs/{web}")).await.ok();
    assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("exited"), &json!(137)));
    assert!(ended["reason"].as_str().unwrap().contains("memory"));
    root.get("/v1/apps/web/jobs/web.1").await.refused(404, "not_found");
}

async fn desired(cluster: &Cluster, job: JobId) -> Desired {
    cluster.store.snapshot(Scope::All).await.unwrap().objects.get::<Job>(job).unwrap().spec.desired
}

#[tokio::test]
async fn instances_are_restarted_all_or_some_and_single_ones_killed() {
    let cluster = Cluster::start().await;
    cluster.admin().await;
    let dev = cluster.member("dev", "red", "developer").await;
    dev.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    let release = cluster.release(app, 1, &["web", "worker"]).await;
    let node = cluster.node("n1").await;
    let one = cluster.job(app, release, "web", 1, node).await;
    let two = cluster.job(app, release, "web", 2, node).await;
    let worker = cluster.job(app, release, "worker", 1, node).await;

    let begun = dev.post("/v1/apps/web/restart", json!({ "target": "web.2" })).await;
    assert_eq!((begun.status, texts(begun.body["jobs"].as_array().unwrap(), "name")), (202, vec!["web.2".into()]));
    assert_eq!([desired(&cluster, one).await, desired(&cluster, two).await], [Desired::Up, Desired::Replace]);
    dev.post("/v1/apps/web/restart", json!({ "target": "web.2" })).await.refused(404, "not_found");
    dev.post("/v1/apps/web/restart", json!({ "target": "cron" })).await.refused(404, "not_found");
    let rest = dev.post("/v1/apps/web/restart", json!({})).await.ok();
    assert_eq!(rest["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(desired(&cluster, worker).await, Desired::Replace);
    assert_eq!(dev.post("/v1/apps/web/restart", json!({})).await.ok()["jobs"], json!([]));

    let killed = dev.delete("/v1/apps/web/jobs/web.1").await;
    assert_eq!((killed.status, &killed.body["desired"]), (202, &json!("down")));
    assert_eq!(desired(&cluster, one).await, Desired::Down);
    dev.delete("/v1/apps/web/jobs/web.9").await.refused(404, "not_found");
    let viewer = cluster.member("vera", "red", "viewer").await;
    viewer.delete("/v1/apps/web/jobs/worker.1").await.refused(403, "forbidden");
    viewer.post("/v1/apps/web/restart", json!({})).await.ok();
}

#[tokio::test]
async fn one_name_of_two_jobs_has_to_be_made_clear() {
    let cluster = Cluster::start().await;
    let root = cluster.admin().await;
    root.post("/v1/apps", json!({ "name": "web" })).await.ok();
    let app = cluster.app_id("web").await;
    let node = cluster.node("n1").await;
    let old = cluster.release(app, 1, &["web"]).await;
    let new = cluster.release(app, 2, &["web"]).await;
    let [one, other] = [cluster.job(app, old, "web", 1, node).await, cluster.job(app, new, "web", 1, node).await];
    let unclear = root.delete("/v1/apps/web/jobs/web.1").await.refused(409, "conflict");
    assert!(unclear["detail"].as_str().unwrap().contains(&other.to_string()), "{unclear}");
    assert_eq!(root.delete(&format!("/v1/apps/web/jobs/{one}")).await.status, 202);
    assert_eq!(root.get("/v1/apps/web/jobs/web.1").await.ok()["id"], json!(other), "the one that stays is meant");
}
