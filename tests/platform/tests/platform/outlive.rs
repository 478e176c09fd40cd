use std::time::Duration;

use flynn_core::Scope;
use flynn_core::noun::{Liveness, Router};
use flynn_core::port::Store;
use platform::{Answer, Instance, get, serve, until};
use tokio::time::Instant;

fn hello() -> Option<Answer> {
    Some(Answer { status: 200, body: "hello".into() })
}

#[tokio::test]
async fn the_router_serves_while_the_control_plane_is_dead_and_is_found_again() {
    let instance = Instance::new();
    let started = instance.start().await;
    let _served = serve(&instance.store(), instance.host).await;
    until("the router has the route", || get(instance.http(), "web.test") == hello()).await;
    let router = instance.holder("flynn-router").unwrap();

    started.kill();
    for _ in 0..20 {
        assert_eq!(get(instance.http(), "web.test"), hello());
    }
    assert_eq!(instance.holder("flynn-router"), Some(router.clone()));

    let started = instance.start().await;
    assert_eq!(get(instance.http(), "web.test"), hello());
    until("it is found", || instance.log().contains("flynn-router runs already")).await;
    assert_eq!(instance.holder("flynn-router"), Some(router.clone()), "the same process");
    // One more of them could not have the port, and would say so.
    let log = std::fs::read_to_string(instance.layout().log().join("flynn-router.log")).unwrap();
    assert_eq!(log.matches("serving").count(), 1, "{log}");

    // A router that an earlier control plane started is watched as well.
    router.identity.kill().unwrap();
    until("another router serves", || get(instance.http(), "web.test") == hello()).await;
    assert_ne!(instance.holder("flynn-router"), Some(router));
    started.terminate().await;
    instance.end();
}

#[tokio::test]
async fn a_router_that_was_killed_is_back_within_a_second_or_so() {
    let instance = Instance::new();
    let _started = instance.start().await;
    let _served = serve(&instance.store(), instance.host).await;
    until("the router has the route", || get(instance.http(), "web.test") == hello()).await;
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let router = instance.holder("flynn-router").unwrap();
        let killed = Instant::now();
        router.identity.kill().unwrap();
        until("the old one is gone", || !router.identity.is_alive().unwrap()).await;
        until("another one serves", || get(instance.http(), "web.test") == hello()).await;
        longest = longest.max(killed.elapsed());
    }
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    drop(_started);
    instance.end();
}

#[tokio::test]
async fn a_control_plane_that_ends_leaves_the_router_which_serves_from_its_file() {
    let instance = Instance::new();
    let started = instance.start().await;
    let _served = serve(&instance.store(), instance.host).await;
    until("the router has the route", || get(instance.http(), "web.test") == hello()).await;
    until("the table is on disk", || {
        let table = std::fs::read_to_string(instance.layout().router().join("table.json"));
        table.is_ok_and(|table| table.contains("web.test"))
    })
    .await;
    let router = instance.holder("flynn-router").unwrap();
    started.terminate().await;
    assert_eq!(instance.holder("flynn-router"), Some(router.clone()));
    assert_eq!(get(instance.http(), "web.test"), hello());

    // With neither store nor process before it, a router has the file alone.
    assert!(router.identity.end(Duration::from_secs(10)).await.unwrap());
    let layout = instance.layout();
    let mut alone = std::process::Command::new(platform::program("flynn-router"))
        .args(&router.arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("it serves alone", || get(instance.http(), "web.test") == hello()).await;
    assert!(!layout.socket().exists());
    alone.kill().unwrap();
    alone.wait().unwrap();
    instance.end();
}

#[tokio::test]
async fn the_router_reports_itself_and_runs_as_nobody_of_importance() {
    let instance = Instance::new();
    let _started = instance.start().await;
    let store = instance.store();
    let mut status = Default::default();
    for _ in 0..1_000 {
        let objects = store.snapshot(Scope::All).await.unwrap().objects;
        status = objects.iter::<Router>().next().unwrap().status.clone();
        if status.liveness == Liveness::Ready {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((status.liveness, status.version.as_str()), (Liveness::Ready, env!("CARGO_PKG_VERSION")));

    let pid = instance.holder("flynn-router").unwrap().identity.process.pid;
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(field("Uid:").iter().all(|uid| uid != "0"), "{text}");
    assert!(field("Gid:").iter().all(|gid| gid != "0") && !field("Groups:").contains(&"0".to_owned()), "{text}");
    assert_eq!((field("CapEff:"), field("CapPrm:")), (vec!["0".repeat(16)], vec!["0".repeat(16)]), "{text}");
    assert_eq!(field("NoNewPrivs:"), ["1"], "{text}");
    // Its session is its own, so that no terminal takes it along.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, pid.to_string());
    drop(_started);
    instance.end();
}
