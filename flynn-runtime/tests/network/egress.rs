//! What jobs reach beyond their node.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use flynn_runtime::network::{Destination, Egress, Network};
use tempfile::TempDir;

use crate::ground::{Ground, Server, WORLD, inside, ip, namespace, reaches, reaches_at};

/// Everything that stays closed without a word of the operator: all outside but the public address, the network that
/// the node is in, and the node's own addresses.
fn closed() -> impl Iterator<Item = Ipv4Addr> {
    const OWN: [&str; 4] = ["198.51.100.1", "198.51.100.2", "192.168.50.1", "10.99.0.1"];
    WORLD[1..].iter().chain(&OWN).map(|address| address.parse().unwrap())
}

fn page() -> TempDir {
    let page = TempDir::new().unwrap();
    std::fs::write(page.path().join("who"), "it is me").unwrap();
    page
}

fn destinations(texts: &[&str]) -> Vec<Destination> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// That of `all`, exactly `expected` are reached. Those that are not are tried at the same time.
fn assert_reached(from: &Path, all: impl Iterator<Item = Ipv4Addr>, expected: &[&str]) {
    let tries: Vec<_> = all
        .map(|address| {
            let from = from.to_owned();
            (address, std::thread::spawn(move || reaches(&from, &address.to_string())))
        })
        .collect();
    let reached: Vec<_> =
        tries.into_iter().filter_map(|(address, tried)| tried.join().unwrap().then(|| address.to_string())).collect();
    assert_eq!(reached, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_networks_are_closed_but_for_what_is_allowed() {
    let ground = Ground::new();
    let page = page();
    let (node, outside) = (namespace(&ground.node()), namespace(&ground.outside()));
    let _servers = [&node, &outside].map(|place| Server::start(place, page.path()));
    let network = ground.open(Duration::ZERO).await;
    let job = network.attach(ground.id(), ground.id()).await.unwrap();
    let stranger = network.attach(ground.id(), ground.id()).await.unwrap();
    let _stranger = Server::start(&stranger.namespace, page.path());
    let world = "203.0.113.1";

    // The node itself reaches all of it, so that it is the filter that closes.
    let all: Vec<_> = closed().map(|address| address.to_string()).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    assert_reached(&node, closed(), &all);
    assert_reached(&job.namespace, closed(), &[]);
    assert!(reaches(&job.namespace, world));

    // What is said at run time comes and goes; other ports and other addresses stay closed.
    network.allow(&destinations(&["10.20.0.5:8080", "192.168.7.0/24:81"])).await.unwrap();
    assert_reached(&job.namespace, closed(), &["10.20.0.5"]);
    network.allow(&destinations(&["10.20.0.6", "10.20.0.6:8080", "192.168.7.0/24"])).await.unwrap();
    assert_reached(&job.namespace, closed(), &["10.20.0.6", "192.168.7.5"]);
    network.allow(&[]).await.unwrap();
    assert_reached(&job.namespace, closed(), &[]);

    // Whatever the operator allows, metadata, the node and other apps stay closed.
    let everything = Egress { allowed: destinations(&["0.0.0.0/0"]), ..Egress::default() };
    let network = ground.open_with(Duration::ZERO, everything).await;
    let elsewhere = ["10.20.0.5", "10.20.0.6", "172.20.0.5", "192.168.7.5", "100.70.0.5", "198.19.0.5", "198.51.100.1"];
    assert_reached(&job.namespace, closed(), &elsewhere);
    assert!(reaches(&job.namespace, world) && !reaches(&job.namespace, &stranger.address.to_string()));
    let some = Egress { allowed: destinations(&["172.16.0.0/12:8080"]), ..Egress::default() };
    let network = {
        drop(network);
        ground.open_with(Duration::ZERO, some).await
    };
    // One metadata address is among those that carriers share.
    network.allow(&destinations(&["100.64.0.0/10"])).await.unwrap();
    assert_reached(&job.namespace, closed(), &["172.20.0.5", "100.70.0.5"]);
    network.allow(&destinations(&["10.0.0.0/8"])).await.unwrap();
    assert_reached(&job.namespace, closed(), &["10.20.0.5", "10.20.0.6", "172.20.0.5"]);

    for job in [job.job, stranger.job] {
        network.detach(job).await.unwrap();
    }
    assert_eq!(ground.leftovers(), [""; 0]);
    network.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_asked_for_in_private_networks_and_nothing_else() {
    let ground = Ground::new();
    let page = page();
    let (node, outside) = (namespace(&ground.node()), namespace(&ground.outside()));
    let _servers = [(&node, 53), (&node, 8080), (&outside, 53), (&outside, 8080)]
        .map(|(place, port)| Server::start_at(place, page.path(), port));
    let resolvers: Vec<Ipv4Addr> = vec![[10, 20, 0, 5].into(), [192, 168, 50, 1].into()];
    let network = ground.open_with(Duration::ZERO, Egress { resolvers: resolvers.clone(), ..Egress::default() }).await;
    let job = network.attach(ground.id(), ground.id()).await.unwrap();
    for resolver in resolvers {
        assert!(reaches_at(&job.namespace, &resolver.to_string(), 53), "{resolver} is asked");
        assert!(!reaches(&job.namespace, &resolver.to_string()), "{resolver} is more than asked");
    }
    for other in ["10.20.0.6", "198.51.100.2", "10.99.0.1", "168.63.129.16"] {
        assert!(!reaches_at(&job.namespace, other, 53), "{other} is no resolver");
    }
    network.detach(job.job).await.unwrap();
    network.close().await.unwrap();
}

/// Jobs have no IPv6. Here one has it all the same, with all that the node would have to give it for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_over_ipv6() {
    let ground = Ground::new();
    let page = page();
    let (node, outside) = (namespace(&ground.node()), namespace(&ground.outside()));
    ip(&["-n", &ground.node(), "addr", "add", "fd00:5::2/64", "dev", "up0", "nodad"]);
    ip(&["-n", &ground.outside(), "addr", "add", "fd00:5::1/64", "dev", "down0", "nodad"]);
    let beyond = ["2001:db8::5", "fd00:20::5", "fd00:ec2::254"];
    for address in beyond {
        ip(&["-n", &ground.outside(), "addr", "add", address, "dev", "lo", "nodad"]);
    }
    ip(&["-n", &ground.outside(), "route", "add", "fd00:9::/64", "via", "fd00:5::2"]);
    ip(&["-n", &ground.node(), "route", "add", "default", "via", "fd00:5::1"]);
    let everything = Egress { allowed: destinations(&["0.0.0.0/0"]), ..Egress::default() };
    let network = ground.open_with(Duration::ZERO, everything).await;
    let job = network.attach(ground.id(), ground.id()).await.unwrap();

    let bridge = ground.bridge.as_str();
    let switch = "for one in all default \"$0\"; do echo 0 > /proc/sys/net/ipv6/conf/$one/disable_ipv6; done";
    for (place, link, number) in [(&node, bridge, 1), (&job.namespace, "eth0", 2)] {
        inside(place, &["sh", "-c", switch, link]);
        for address in [format!("fd00:9::{number}/64"), format!("fe80::{number}/64")] {
            inside(place, &["ip", "addr", "add", &address, "dev", link, "nodad"]);
        }
    }
    inside(&node, &["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding"]);
    inside(&job.namespace, &["ip", "route", "add", "default", "via", "fd00:9::1"]);
    // Each knows where the other is, so that no question has to pass the filter first.
    for (place, link, other, other_link, number) in
        [(&node, bridge, &job.namespace, "eth0", 2), (&job.namespace, "eth0", &node, bridge, 1)]
    {
        let shown = inside(other, &["ip", "-oneline", "link", "show", "dev", other_link]);
        let hardware = shown.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().to_owned();
        for address in [format!("fd00:9::{number}"), format!("fe80::{number}")] {
            inside(place, &["ip", "neigh", "replace", &address, "lladdr", &hardware, "dev", link]);
        }
    }

    let _servers = [&node, &outside].map(|place| Server::start(place, page.path()));
    let targets = beyond.iter().chain(&["fd00:5::2", "fd00:9::1", "fe80::1%eth0"]);
    for target in targets.clone() {
        assert!(!reaches(&job.namespace, target), "{target} is reached");
    }
    // It is the filter that closes.
    inside(&node, &["nft", "delete", "table", "inet", bridge]);
    for target in targets {
        assert!(reaches(&job.namespace, target), "{target} is not there");
    }
    let network = {
        drop(network);
        ground.open(Duration::ZERO).await
    };
    network.detach(job.job).await.unwrap();
    network.close().await.unwrap();
}
