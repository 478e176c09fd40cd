use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flynn_core::{Clock, Ids, JobId, Timestamp};
use flynn_runtime::network::{BridgeNetwork, BridgeOptions, Egress};
use tempfile::TempDir;

#[derive(Debug, Default)]
pub(crate) struct Hand(pub(crate) Mutex<u64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(*self.0.lock().unwrap())
    }
}

/// What is outside: one public address, metadata, and services in private networks.
pub(crate) const WORLD: [&str; 11] = [
    "203.0.113.1",
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "10.20.0.5",
    "10.20.0.6",
    "172.20.0.5",
    "192.168.7.5",
    "100.70.0.5",
    "198.19.0.5",
];

/// A node that is in the networks 198.51.100.0/24 and 192.168.50.0/24, with one link to an outside that has
/// 198.51.100.1 and all of [`WORLD`].
pub(crate) struct Ground {
    pub(crate) name: String,
    pub(crate) bridge: String,
    pub(crate) directory: TempDir,
    pub(crate) clock: Arc<Hand>,
    ids: Mutex<Ids>,
}

impl Ground {
    pub(crate) fn new() -> Self {
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
        for address in WORLD {
            ip(&["-n", &outside, "addr", "add", address, "dev", "lo"]);
        }
        ip(&["-n", &node, "addr", "add", "192.168.50.1/24", "dev", "lo"]);
        ip(&["-n", &outside, "route", "add", "10.99.0.0/24", "via", "198.51.100.2"]);
        ip(&["-n", &node, "route", "add", "default", "via", "198.51.100.1"]);
        ground
    }

    pub(crate) fn node(&self) -> String {
        format!("{}-n", self.name)
    }

    pub(crate) fn outside(&self) -> String {
        format!("{}-o", self.name)
    }

    pub(crate) async fn open(&self, quarantine: Duration) -> BridgeNetwork {
        self.open_with(quarantine, Egress::default()).await
    }

    pub(crate) async fn open_with(&self, quarantine: Duration, egress: Egress) -> BridgeNetwork {
        let options = BridgeOptions {
            directory: self.directory.path().to_owned(),
            bridge: self.bridge.clone(),
            subnet: "10.99.0.0/24".parse().unwrap(),
            quarantine,
            egress,
            node: Some(namespace(&self.node())),
        };
        let clock: Arc<dyn Clock> = self.clock.clone();
        BridgeNetwork::open(options, clock).await.unwrap()
    }

    pub(crate) fn id<N>(&self) -> flynn_core::Id<N> {
        self.ids.lock().unwrap().next(Timestamp::EPOCH)
    }

    pub(crate) fn leftovers(&self) -> Vec<String> {
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

pub(crate) fn namespace(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

pub(crate) fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
}

fn enter(namespace: &Path, command: &[&str]) -> Command {
    let mut entered = Command::new("nsenter");
    entered.arg(format!("--net={}", namespace.display())).args(command);
    entered
}

pub(crate) fn inside(namespace: &Path, command: &[&str]) -> String {
    String::from_utf8(enter(namespace, command).output().unwrap().stdout).unwrap()
}

/// A web server of a namespace, until it is dropped.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(namespace: &Path, page: &Path) -> Self {
        Self::start_at(namespace, page, 8080)
    }

    pub(crate) fn start_at(namespace: &Path, page: &Path, port: u16) -> Self {
        let (page, port) = (page.to_str().unwrap(), port.to_string());
        let command = ["busybox", "httpd", "-f", "-p", &port, "-h", page];
        let server = Self(enter(namespace, &command).stderr(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        let listens = || inside(namespace, &["ss", "-Htln"]).contains(&format!(":{port} "));
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

pub(crate) fn reaches(namespace: &Path, address: &str) -> bool {
    reaches_at(namespace, address, 8080)
}

/// Whether connections are refused, in place of going nowhere.
pub(crate) fn is_refused(namespace: &Path, address: &str) -> bool {
    let script = format!("LC_ALL=C; exec 3<>/dev/tcp/{address}/8080");
    let output = enter(namespace, &["timeout", "20", "bash", "-c", &script]).output().unwrap();
    String::from_utf8_lossy(&output.stderr).contains("Connection refused")
}

pub(crate) fn reaches_at(namespace: &Path, address: &str, port: u16) -> bool {
    // Debian's static busybox cannot be the client: it crashes in the resolver of the C library.
    let script = format!("exec 3<>/dev/tcp/{address}/{port}; printf 'GET /who HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3");
    let output = enter(namespace, &["timeout", "2", "bash", "-c", &script]).stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).ends_with("it is me")
}
