//! The bridge, between two network namespaces that play a node and the world outside.
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the test")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flynn_core::{AppId, Clock, Ids, JobId, Timestamp};
use flynn_runtime::network::{Attachment, BridgeNetwork, BridgeOptions, Network, NetworkError};
use tempfile::TempDir;

#[derive(Debug, Default)]
struct Hand(Mutex<u64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(*self.0.lock().unwrap())
    }
}

/// A node with one link to an outside that has the addresses 198.51.100.1 and 169.254.169.254.
struct Ground {
    name: String,
    bridge: String,
    directory: TempDir,
    clock: Arc<Hand>,
    ids: Mutex<Ids>,
}

impl Ground {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let mut ids = Ids::from_entropy();
        let id: JobId = ids.next(Timestamp::EPOCH);
        let hex = id.uuid().simple().to_string();
        let bridge = format!("t{}", &hex[hex.len() - 8..]);
        let name = format!("flynn-test-{bridge}");
        let ground = Self { name, bridge, directory, clock: Arc::default(), ids: Mutex::new(ids) };
        let (node, outside) = (ground.node(), ground.outside());
        ip(&["netns", "add", &node]);
        ip(&["netns", "add", &outside]);
        ip(&["-n", &node, "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", &outside]);
        for (namespace, link, address) in [(&node, "up0", "198.51.100.2/24"), (&outside, "down0", "198.51.100.1/24")] {
            ip(&["-n", namespace, "addr", "add", address, "dev", link]);
            ip(&["-n", namespace, "link", "set", link, "up"]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        ip(&["-n", &outside, "addr", "add", "169.254.169.254/32", "dev", "lo"]);
        ip(&["-n", &outside, "route", "add", "10.99.0.0/24", "via", "198.51.100.2"]);
        ip(&["-n", &node, "route", "add", "default", "via", "198.51.100.1"]);
        ground
    }

    fn node(&self) -> String {
        format!("{}-n", self.name)
    }

    fn outside(&self) -> String {
        format!("{}-o", self.name)
    }

    async fn open(&self, quarantine: Duration) -> BridgeNetwork {
        let options = BridgeOptions {
            directory: self.directory.path().to_owned(),
            bridge: self.bridge.clone(),
            subnet: "10.99.0.0/24".parse().unwrap(),
            quarantine,
            node: Some(namespace(&self.node())),
        };
        let clock: Arc<dyn Clock> = self.clock.clone();
        BridgeNetwork::open(options, clock).await.unwrap()
    }

    fn id<N>(&self) -> flynn_core::Id<N> {
        self.ids.lock().unwrap().next(Timestamp::EPOCH)
    }

    fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir("/run/netns").unwrap().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut left: Vec<_> = names.filter(|name| name.starts_with(&format!("{}-", self.bridge))).collect();
        let links = inside(&namespace(&self.node()), &["ip", "-oneline", "link"]);
        left.extend(links.lines().filter(|line| line.contains(": fl")).map(str::to_owned));
        let rules = inside(&namespace(&self.node()), &["nft", "list", "ruleset"]);
        left.extend(
            rules.lines().filter(|line| line.contains("10.99.0.") && line.contains("elements")).map(str::to_owned),
        );
        left
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for entry in std::fs::read_dir("/run/netns").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&format!("{}-", self.bridge)) || name.starts_with(&self.name) {
                let _ = Command::new("ip").args(["netns", "del", &name]).status();
            }
        }
    }
}

fn namespace(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
}

fn enter(namespace: &Path, command: &[&str]) -> Command {
    let mut entered = Command::new("nsenter");
    entered.arg(format!("--net={}", namespace.display())).args(command);
    entered
}

fn inside(namespace: &Path, command: &[&str]) -> String {
    String::from_utf8(enter(namespace, command).output().unwrap().stdout).unwrap()
}

/// A web server on port 8080 of a namespace, until it is dropped.
struct Server(Child);

impl Server {
    fn start(namespace: &Path, page: &Path) -> Self {
        let page = page.to_str().unwrap();
        let command = ["busybox", "httpd", "-f", "-p", "8080", "-h", page];
        let server = Self(enter(namespace, &command).stderr(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        let listens = || inside(namespace, &["ss", "-Htln"]).contains(":8080");
        while !listens() {
            assert!(Instant::now() < end, "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn reaches(namespace: &Path, address: Ipv4Addr) -> bool {
    // Debian's static busybox cannot be the client: it crashes in the resolver of the C library.
    let script = format!("exec 3<>/dev/tcp/{address}/8080; printf 'GET /who HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    let output = enter(namespace, &["timeout", "2", "bash", "-c", &script]).stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).ends_with("it is me")
}

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

    assert!(reaches(&node, one.address), "the node reaches a job");
    assert!(reaches(&one.namespace, [198, 51, 100, 1].into()), "a job reaches the world");
    assert!(reaches(&one.namespace, sibling.address), "a job reaches one of its app");
    assert!(reaches(&outside, [198, 51, 100, 2].into()), "the node's own services are not touched");
    for (address, what) in [
        (stranger.address, "another app"),
        ([10, 99, 0, 1].into(), "the node by the bridge"),
        ([198, 51, 100, 2].into(), "the node by its outer address"),
        ([169, 254, 169, 254].into(), "the metadata address"),
    ] {
        assert!(!reaches(&one.namespace, address), "a job reaches {what}");
    }
    assert!(!reaches(&outside, one.address), "the world reaches a job");
    assert!(!reaches(&stranger.namespace, one.address), "a job reaches another app");
    assert_eq!(inside(&one.namespace, &["ip", "-6", "addr"]), "");

    // The rules hold after the network was opened again, and connections go on.
    let network = ground.open(Duration::ZERO).await;
    assert_eq!(network.list().await.unwrap().len(), 3);
    assert!(reaches(&one.namespace, sibling.address));
    assert!(!reaches(&one.namespace, stranger.address));

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

#[tokio::test]
async fn bad_names_are_refused() {
    let directory = TempDir::new().unwrap();
    for bridge in ["", "has space", "much-too-long", "1st", "x; flush"] {
        let options = BridgeOptions {
            directory: directory.path().to_owned(),
            bridge: bridge.to_owned(),
            subnet: "10.99.0.0/24".parse().unwrap(),
            quarantine: Duration::ZERO,
            node: None,
        };
        let refused = BridgeNetwork::open(options, Arc::new(Hand::default())).await;
        assert!(matches!(refused, Err(NetworkError::Invalid { .. })), "{bridge}");
    }
}
