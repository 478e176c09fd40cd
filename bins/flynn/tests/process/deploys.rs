//! From a directory to running instances, and what follows.

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_deployed_configured_scaled_and_rolled_back() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.write("Procfile", "web: ./serve\nworker: ./work\n");
    world.write("secret.key", "x");
    world.write(".flynnignore", "*.key\n");
    let deployed = world.flynn(["deploy", "-a", "web"]).await.ok();
    assert!(deployed.starts_with("Uploading 2 files"), "{deployed}");
    assert!(deployed.ends_with("v1 is live at http://web.apps.example:8080.\n"), "{deployed}");
    assert!(world.flynn(["ps", "-a", "web"]).await.ok().starts_with("web.1\tv1\tup\t"));

    let set = world.flynn_with(["config:set", "-a", "web", "A=1", "SECRET=-"], "s3cret\n").await.ok();
    assert_eq!(set, "Set A, SECRET of web.\nv2 is live.\n");
    assert_eq!(world.flynn(["config", "-a", "web"]).await.ok(), "A=1\nSECRET=s3cret\n");
    assert_eq!(world.flynn(["config", "get", "A", "-a", "web"]).await.ok(), "1\n");
    assert_eq!(world.flynn(["config", "get", "B", "-a", "web"]).await.code, 3);

    assert_eq!(world.flynn(["scale", "web=3", "worker=1", "-a", "web"]).await.ok(), "web\t3\t3\nworker\t1\t1\n");
    let names = |text: String| text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(world.flynn(["ps", "-a", "web"]).await.ok()), ["web.1", "web.2", "web.3", "worker.1"]);
    assert!(world.flynn(["scale", "nothing=1", "-a", "web"]).await.failed(1).contains("web, worker"));

    let unset = world.flynn(["config:unset", "NOPE", "-a", "web"]).await;
    assert!(unset.code == 3 && unset.err.contains("no variable NOPE"), "{unset:?}");
    let unset = world.flynn(["config:unset", "NOPE", "SECRET", "-a", "web"]).await;
    assert!(unset.code == 0 && unset.err.contains("no variable NOPE"), "{unset:?}");
    assert!(unset.out.starts_with("Unset SECRET of web.\nv3"), "{unset:?}");

    let rolled = world.flynn(["rollback", "v1", "-a", "web"]).await.ok();
    assert!(rolled.starts_with("v4 is live: "), "{rolled}");
    assert_eq!(world.flynn(["config", "-a", "web"]).await.ok(), "");
    let releases = world.flynn(["releases", "-a", "web"]).await.ok();
    assert!(releases.starts_with("v4\tserves\t") && releases.lines().count() == 4, "{releases}");
    assert_eq!(world.flynn(["releases", "info", "v2", "-a", "web", "--json"]).await.json()["number"], 2);
    assert_eq!(world.flynn(["deployments", "-a", "web", "--json"]).await.json()[0]["state"], "done");

    let set = ["deployments", "set", "in-batches", "batch=50%", "healthy-for=1s", "on-failure=pause", "-a", "web"];
    let words = "in-batches batch=50% healthy-for=1s start-deadline=60s progress-deadline=600s on-failure=pause";
    assert_eq!(world.flynn(set).await.ok(), format!("Deployments of web go {words}.\n"));
    assert!(world.flynn(["info", "-a", "web"]).await.ok().contains(words));
    world.flynn(["config:set", "B=1", "-a", "web"]).await.ok();
    let newest = &world.flynn(["deployments", "-a", "web", "--json"]).await.json()[0];
    assert_eq!((&newest["state"], &newest["strategy"]), (&"done".into(), &"in_batches".into()));
    let refused = world.flynn(["deployments", "set", "one-by-one", "max-extra=0", "-a", "web"]).await.failed(1);
    assert!(refused.contains("deploys.policy.max_missing"), "{refused}");
    assert_eq!(
        world.flynn(["deployments", "set", "usual", "-a", "web"]).await.ok(),
        "Deployments of web go as usual.\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_replaced_and_limited() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.write("Procfile", "web: ./serve\n");
    world.flynn(["deploy", "-a", "web"]).await.ok();
    let first = world.flynn(["ps", "-a", "web", "--json"]).await.json()[0]["id"].clone();
    assert_eq!(world.flynn(["restart", "web", "-a", "web"]).await.ok(), "Restarted web.1; in place: web.2.\n");
    // One that has ended is listed until the controller has seen that.
    until_ps(&world, |jobs| jobs.lines().count() == 1).await;
    let second = world.flynn(["ps", "-a", "web", "--json"]).await.json();
    assert_eq!(second.as_array().unwrap().len(), 1);
    assert_ne!(second[0]["id"], first);
    let name = second[0]["name"].as_str().unwrap();
    assert_eq!(world.flynn(["kill", name, "-a", "web"]).await.ok(), format!("{name} is being stopped.\n"));
    assert_eq!(world.flynn(["kill", "web.7", "-a", "web"]).await.code, 3);
    let limits = world.flynn(["limits:set", "web", "memory=64M", "cpu=250m", "pids=50", "-a", "web"]).await.ok();
    assert!(limits.starts_with("web\t250m\t64M\t") && limits.ends_with("\t50\n"), "{limits}");
    for (bad, range) in [
        ("memory=0", "processes.web.memory_bytes: 0 is not from 8 MiB to 64 GiB"),
        ("pids=100000", "processes.web.pids: 100000 is not from 8 to 32768"),
        ("pids=0", "0 is not from 8"),
        ("disk=0", "0 is not from 1 MiB"),
    ] {
        let refused = world.flynn(["limits:set", "web", bad, "cpu=0", "-a", "web"]).await.failed(1);
        assert!(refused.contains(range), "{refused}");
    }
    assert!(world.flynn(["scale", "web=5", "--no-wait", "-a", "web"]).await.ok().starts_with("web\t5\t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_placed_by_labels_and_say_why_not() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.write("Procfile", "web: ./serve\n");
    world.flynn(["deploy", "-a", "web"]).await.ok();
    let refused = world.flynn(["placement", "set", "web", "zone = a", "-a", "web"]).await.failed(1);
    assert!(refused.contains("processes.web.placement.constraints.0: no node has the label zone"), "{refused}");
    assert!(world.flynn(["nodes", "label", "n1", "zone=a"]).await.ok().contains("zone=a"));
    let set = ["placement:set", "web", "zone = a", "--per-node", "2", "--spread", "zone", "-a", "web"];
    assert_eq!(world.flynn(set).await.ok(), "web\tzone = a\tzone\tat most 2\n");
    world.flynn(["scale", "web=3", "--no-wait", "-a", "web"]).await.ok();
    let expect = "no node fits: 1 of 1 is at 2 instances, the most for a node; it would be placed if 3 instances are \
                  allowed on a node";
    until_ps(&world, |jobs| jobs.contains("\tpending\t") && jobs.contains(expect)).await;
    assert!(world.flynn(["placement", "clear", "web", "-a", "web"]).await.ok().starts_with("web\tany\t"));
    until_ps(&world, |jobs| jobs.matches("\tup\t").count() == 3).await;
}

/// Waits until what `flynn ps` says is as it should be.
async fn until_ps(world: &World, is_reached: impl Fn(&str) -> bool) {
    let reached = async {
        loop {
            let jobs = world.flynn(["ps", "-a", "web"]).await.ok();
            if is_reached(&jobs) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(std::time::Duration::from_secs(30), reached).await.is_err() {
        panic!("{}", world.flynn(["ps", "-a", "web"]).await.ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_says_where_and_why() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    assert!(world.flynn(["deploy", "-a", "web"]).await.failed(1).contains("no file to deploy"));
    world.write("readme", "x");
    let failed = world.flynn(["deploy", "-a", "web"]).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(
        failed.err.contains("`detect`: there is no Procfile") && failed.err.contains("flynn builds logs 1"),
        "{failed:?}"
    );
    assert!(world.flynn(["builds", "-a", "web"]).await.ok().starts_with("1\tfailed\t"));

    world.write("Procfile", "web: ./serve\n");
    world.flynn(["deploy", "-a", "web"]).await.ok();
    world.write("Procfile", "web: ./crash\n");
    let crashed = world.flynn(["deploy", "-a", "web"]).await;
    assert_eq!(crashed.code, 1, "{crashed:?}");
    assert!(
        crashed.err.contains("deployment of v2 failed") && crashed.err.contains("v1 goes on serving"),
        "{crashed:?}"
    );
    assert!(world.flynn(["ps", "-a", "web"]).await.ok().starts_with("web.1\tv1\tup\t"));

    world.write("Procfile", "web: forever\n");
    assert!(world.flynn(["deploy", "--no-wait", "-a", "web"]).await.ok().ends_with("Build 4 is under way.\n"));
    assert_eq!(world.flynn(["builds", "cancel", "-a", "web"]).await.ok(), "Build 4 is being cancelled.\n");
    for verb in ["pause", "resume", "abort"] {
        assert_eq!(world.flynn(["deployments", verb, "-a", "web"]).await.code, 3, "{verb}");
    }
}

/// What a deploy says on standard error while it waits. `until` is read, then `then` is done, and the deploy succeeds.
async fn deploy_that_waits(world: &World, until: &str, then: &[&str]) {
    let mut command = world.command(crate::world::program());
    let mut child = command.args(["deploy", "-a", "web"]).spawn().unwrap();
    // Standard output is short enough to wait in its pipe.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it ended without a word");
            if line.contains(until) {
                return line;
            }
        }
    };
    let line = tokio::time::timeout(std::time::Duration::from_secs(30), said).await.expect("it waits without a word");
    assert!(line.starts_with("note: "), "{line}");
    world.flynn(then).await.ok();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), child.wait()).await;
    assert!(ended.expect("it goes on waiting").unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_that_waits_for_room_says_why() {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.write("Procfile", "web: ./serve\n");
    world.flynn(["nodes", "drain", "n1"]).await.ok();
    deploy_that_waits(&world, "the build waits: no node fits: 1 of 1 is draining", &["nodes", "undrain", "n1"]).await;
    // The machine has this much, but not beside the instance that runs. The one that waits follows the next limits.
    world.flynn(["limits", "set", "web", "memory=64G", "-a", "web"]).await.ok();
    deploy_that_waits(
        &world,
        "web.1 is pending: no node has 64 GiB of memory left",
        &["limits", "set", "web", "memory=64M", "-a", "web"],
    )
    .await;
    // The instance before it may still be on its way out.
    until_ps(&world, |jobs| jobs.starts_with("web.1\tv2\tup\t")).await;
}
