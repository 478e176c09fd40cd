//! The bridge, between two network namespaces that play a node and the world outside.
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

mod egress;
mod ground;

use std::sync::Arc;
use std::time::Duration;

use flynn_core::AppId;
use flynn_runtime::network::{Attachment, BridgeNetwork, BridgeOptions, Egress, Network, NetworkError};
use tempfile::TempDir;

use crate::ground::{Ground, Hand, Server, inside, ip, is_refused, namespace, reaches};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_allowed_gets_through() {
    let ground = Ground::new();
    let network = ground.open(Duration::ZERO).await;
    let page = TempDir::new().unwrap();
    std::fs::write(page.path().join("who"), "it is me").unwrap();
    let (app, other): (AppId, AppId) = (ground.id(), ground.id());
    let mut attached = Vec::new();
    for app in [app, app, other] {
        attached.push(network.attach(ground.id(), app).await.unwrap());
    }
    let [one, sibling, stranger] = &attached[..] else { unreachable!() };
    let (node, outside) = (namespace(&ground.node()), namespace(&ground.outside()));
    let places = [&node, &outside, &one.namespace, &sibling.namespace, &stranger.namespace];
    let servers: Vec<_> = places.iter().map(|place| Server::start(place, page.path())).collect();

    assert!(reaches(&node, &one.address.to_string()), "the node reaches a job");
    assert!(reaches(&one.namespace, "203.0.113.1"), "a job reaches the world");
    assert!(reaches(&one.namespace, &sibling.address.to_string()), "a job reaches one of its app");
    assert!(reaches(&outside, "198.51.100.2"), "the node's own services are not touched");
    for (address, what) in [
        (stranger.address, "another app"),
        ("10.99.0.1".parse().unwrap(), "the node by the bridge"),
        ("198.51.100.2".parse().unwrap(), "the node by its outer address"),
        ("169.254.169.254".parse().unwrap(), "the metadata address"),
    ] {
        assert!(!reaches(&one.namespace, &address.to_string()), "a job reaches {what}");
    }
    assert!(!reaches(&outside, &one.address.to_string()), "the world reaches a job");
    assert!(!reaches(&stranger.namespace, &one.address.to_string()), "a job reaches another app");
    assert_eq!(inside(&one.namespace, &["ip", "-6", "addr"]), "");

    // The rules hold after the network was opened again, and connections go on.
    let network = ground.open(Duration::ZERO).await;
    assert_eq!(network.list().await.unwrap().len(), 3);
    assert!(reaches(&one.namespace, &sibling.address.to_string()));
    assert!(!reaches(&one.namespace, &stranger.address.to_string()));

    drop(servers);
    for Attachment { job, .. } in network.list().await.unwrap() {
        network.detach(job).await.unwrap();
        network.detach(job).await.unwrap();
    }
    assert_eq!(ground.leftovers(), [""; 0]);
    network.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_kept_rest_and_come_back() {
    let ground = Ground::new();
    let network = ground.open(Duration::from_secs(60)).await;
    let app = ground.id();
    let first = network.attach(ground.id(), app).await.unwrap();
    assert_eq!(network.attach(first.job, app).await.unwrap(), first);
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&first));
    network.detach(first.job).await.unwrap();
    let second = network.attach(ground.id(), app).await.unwrap();
    assert_ne!(second.address, first.address);
    *ground.clock.0.lock().unwrap() += 60_000;
    let third = network.attach(ground.id(), app).await.unwrap();
    assert_eq!(third.address, first.address);
    for attachment in [second, third] {
        network.detach(attachment.job).await.unwrap();
    }
    assert_eq!(ground.leftovers(), [""; 0]);
}

/// Whatever a network that was killed half-way left behind is gone when it is opened again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_nobody_is_taken_away() {
    let ground = Ground::new();
    let network = ground.open(Duration::ZERO).await;
    let kept = network.attach(ground.id(), ground.id()).await.unwrap();
    let node = ground.node();
    ip(&["netns", "add", &format!("{}-{}", ground.bridge, ground.id::<flynn_core::noun::Job>())]);
    ip(&["-n", &node, "link", "add", "fl0", "type", "veth", "peer", "name", "fl1"]);
    ip(&["-n", &node, "link", "set", "fl0", "master", &ground.bridge]);
    let foreign = format!("{}-other", ground.name);
    ip(&["netns", "add", &foreign]);
    // A lease whose making was cut short.
    let lease = ground.directory.path().join("leases").join(format!("{}.json", kept.job));
    let (job, text) = (ground.id::<flynn_core::noun::Job>(), std::fs::read_to_string(&lease).unwrap());
    let text = text.replace(&kept.job.to_string(), &job.to_string()).replace("10.99.0.2", "10.99.0.9");
    let cut = lease.with_file_name(format!("{job}.json"));
    std::fs::write(cut, text.replace("\"complete\":true", "\"complete\":false")).unwrap();

    let network = ground.open(Duration::ZERO).await;
    assert_eq!(network.list().await.unwrap(), std::slice::from_ref(&kept));
    assert!(namespace(&foreign).exists());
    network.detach(kept.job).await.unwrap();
    assert_eq!(ground.leftovers(), [""; 0]);
}

/// Without its bridge, as after a restart of the machine, nothing of the node goes to a stranger who answers for the
/// addresses of jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_jobs_never_leave_the_node() {
    let ground = Ground::new();
    let (node, outside) = (namespace(&ground.node()), namespace(&ground.outside()));
    let page = TempDir::new().unwrap();
    std::fs::write(page.path().join("who"), "it is me").unwrap();
    let _stranger = Server::start(&outside, page.path());
    ip(&["-n", &ground.outside(), "addr", "add", "10.99.0.2", "dev", "lo"]);
    ip(&["-n", &ground.outside(), "route", "del", "10.99.0.0/24"]);
    let reaches_stranger = || reaches(&node, "10.99.0.2");
    assert!(reaches_stranger(), "before it is anybody's");

    let network = ground.open(Duration::ZERO).await;
    assert!(!reaches_stranger(), "while there is a bridge");
    ip(&["-n", &ground.node(), "link", "del", &ground.bridge]);
    assert!(!reaches_stranger(), "when the bridge is gone");
    assert!(is_refused(&node, "10.99.0.2"), "nobody waits for an answer");
    // Opened again, it has all that closing takes away.
    drop(network);
    ground.open(Duration::ZERO).await.close().await.unwrap();
    assert!(reaches_stranger(), "after it was closed");
}

/// Forwarding is as it was before the first network, when the last one is closed, unless others came to need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forwarding_is_put_back() {
    let ground = Ground::new();
    let node = namespace(&ground.node());
    let set = |value: &str| inside(&node, &["sh", "-c", &format!("echo {value} > /proc/sys/net/ipv4/ip_forward")]);
    let forwards = || inside(&node, &["cat", "/proc/sys/net/ipv4/ip_forward"]).trim() == "1";
    let records = TempDir::new().unwrap();
    let second = async || {
        let options = BridgeOptions {
            directory: records.path().to_owned(),
            bridge: format!("{}b", ground.bridge),
            subnet: "10.98.0.0/24".parse().unwrap(),
            quarantine: Duration::ZERO,
            egress: Egress::default(),
            node: Some(node.clone()),
        };
        BridgeNetwork::open(options, Arc::new(Hand::default())).await.unwrap()
    };

    set("0");
    let (jobs, builds) = (ground.open(Duration::ZERO).await, second().await);
    assert!(forwards());
    // Opened again, as after a crash, it finds forwarding on and still knows that it was off.
    drop(jobs);
    let jobs = ground.open(Duration::ZERO).await;
    jobs.close().await.unwrap();
    assert!(forwards(), "the other network needs it");
    builds.close().await.unwrap();
    assert!(!forwards(), "nobody needs it");

    set("1");
    let jobs = ground.open(Duration::ZERO).await;
    jobs.close().await.unwrap();
    assert!(forwards(), "it was on before");

    set("0");
    let jobs = ground.open(Duration::ZERO).await;
    let chain = "table ip other { chain forward { type filter hook forward priority 0; policy drop; }; }";
    inside(&node, &["sh", "-c", &format!("echo '{chain}' | nft -f -")]);
    jobs.close().await.unwrap();
    assert!(forwards(), "somebody else filters what is forwarded");
}

#[tokio::test]
async fn bad_names_are_refused() {
    let directory = TempDir::new().unwrap();
    for bridge in ["", "has space", "much-too-long", "1st", "x; flush"] {
        let options = BridgeOptions {
            directory: directory.path().to_owned(),
            bridge: bridge.to_owned(),
            subnet: "10.99.0.0/24".parse().unwrap(),
            quarantine: Duration::ZERO,
            egress: Egress::default(),
            node: None,
        };
        let refused = BridgeNetwork::open(options, Arc::new(Hand::default())).await;
        assert!(matches!(refused, Err(NetworkError::Invalid { .. })), "{bridge}");
    }
}
