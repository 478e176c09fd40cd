//! Containers on layers: from an image, over what others wrote, and with names looked up beyond the bridge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation ends the test")]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flynn_core::local::DirBlobs;
use flynn_core::noun::{Exit, Terminal};
use flynn_core::port::{
    Blobs, ContainerSpec, ContainerState, ImageError, Images, Prepared, Process, Runtime, Secret, Snapshots,
};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, Ids, JobId, SystemClock, Timestamp};
use flynn_runtime::conformance::{busybox_root, leak};
use flynn_runtime::image::{ImageOptions, ImageStore, LayerTimes};
use flynn_runtime::network::{BridgeNetwork, BridgeOptions, Egress, Network};
use flynn_runtime::shim::{LogLimits, LogRecord};
use flynn_runtime::snapshot::{OverlaySnapshots, SnapshotOptions};
use flynn_runtime::{ContainerFiles, ContainerOptions, ContainerRuntime, Resolvers, ShimProgram};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

/// A node with blobs, images and containers.
struct Ground {
    directory: TempDir,
    blobs: Arc<DirBlobs>,
    images: ImageStore,
    snapshots: OverlaySnapshots,
    runtime: ContainerRuntime,
    name: String,
}

impl Ground {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let hex = Self::id::<flynn_core::noun::Job>().uuid().simple().to_string();
        let name = format!("i{}", &hex[hex.len() - 8..]);
        let blobs = Arc::new(DirBlobs::open(directory.path().join("blobs"), Arc::new(SystemClock)).await.unwrap());
        let (images, snapshots) = node(&directory.path().join("images"), &blobs).await;
        let options = ContainerOptions {
            directory: directory.path().join("runtime"),
            owner: "test".to_owned(),
            cgroups: format!("/flynn-test-{name}").parse().unwrap(),
            log: LogLimits::default(),
        };
        let program = ShimProgram::load(Path::new(env!("CARGO_BIN_EXE_flynn-shim"))).unwrap();
        let runtime = ContainerRuntime::open(options, program).unwrap();
        Self { directory, blobs, images, snapshots, runtime, name }
    }

    fn id<N>() -> flynn_core::Id<N> {
        Ids::from_entropy().next(Timestamp::EPOCH)
    }

    fn watched(&self) -> leak::Watched {
        let cgroups = format!("/flynn-test-{}", self.name).parse().unwrap();
        leak::Watched { directory: self.directory.path().join("runtime"), cgroups: Some(cgroups) }
    }

    /// Puts a layer that tar makes of what `make` makes.
    async fn layer(&self, make: impl FnOnce(&Path)) -> Digest {
        let source = TempDir::new().unwrap();
        make(source.path());
        // The root of a temporary directory may be closed to others.
        fs::set_permissions(source.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut tar = Command::new("tar");
        let output = tar.arg("-C").arg(source.path()).args(["--owner=0", "--group=0", "-c", "."]).output().unwrap();
        assert!(output.status.success());
        self.blobs.put(Box::new(std::io::Cursor::new(output.stdout)), None).await.unwrap().digest
    }

    async fn busybox(&self) -> Digest {
        self.layer(|root| {
            busybox_root(root);
            fs::write(root.join("etc/low"), "from below").unwrap();
            fs::create_dir(root.join("lower")).unwrap();
            fs::write(root.join("lower/hidden"), "from below").unwrap();
            fs::create_dir(root.join("tree")).unwrap();
            symlink("../etc", root.join("tree/bin")).unwrap();
        })
        .await
    }

    /// Puts an image of uncompressed layers.
    async fn image(&self, layers: &[Digest]) -> Digest {
        let put = async |value: serde_json::Value| {
            let content = std::io::Cursor::new(value.to_string().into_bytes());
            self.blobs.put(Box::new(content), None).await.unwrap().digest
        };
        let config = put(serde_json::json!({ "os": "linux", "rootfs": { "diff_ids": layers } })).await;
        let layers = layers.iter().map(
            |layer| serde_json::json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 1 }),
        );
        let layers: Vec<_> = layers.collect();
        put(serde_json::json!({ "schemaVersion": 2, "config": { "digest": config, "size": 1 }, "layers": layers }))
            .await
    }

    fn spec(prepared: &Prepared, script: &str) -> ContainerSpec {
        ContainerSpec {
            app: AppId::NIL,
            hostname: "web-1".to_owned(),
            root: prepared.mounts.clone(),
            mounts: vec![],
            process: Process {
                command: ["sh", "-c", script].map(str::to_owned).to_vec(),
                env: [("PATH".to_owned(), Secret::new("/bin"))].into(),
                directory: "/".into(),
                user: (0, 0),
                terminal: Terminal::None,
                interactive: false,
            },
            resources: Resources::ZERO,
            network: None,
        }
    }

    /// Runs a container to its end and gives what it wrote. It is still there then.
    async fn run(&self, spec: ContainerSpec) -> (JobId, String) {
        let job = Self::id();
        self.runtime.create(job, spec).await.unwrap();
        self.runtime.start(job).await.unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            let all = self.runtime.list().await.unwrap();
            let state = all.into_iter().find(|container| container.job == job).unwrap().state;
            let output = fs::read_to_string(self.runtime.files(job).log()).unwrap_or_default();
            if let ContainerState::Exited { exit, .. } = state {
                assert_eq!(exit, Exit::Code(0), "{output}");
                let records = output.lines().map(|line| line.parse::<LogRecord>().unwrap().text);
                return (job, records.collect::<Vec<_>>().join("\n"));
            }
            assert!(Instant::now() < end, "{state:?} {output}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Runs a script on layers, and throws away what it changed.
    async fn see(&self, snapshots: &OverlaySnapshots, chain: &[Digest], script: &str) -> String {
        let prepared = snapshots.prepare(chain).await.unwrap();
        let (job, output) = self.run(Self::spec(&prepared, script)).await;
        self.runtime.remove(job).await.unwrap();
        snapshots.discard(&prepared.key).await.unwrap();
        output
    }

    /// Asserts that nothing is left of containers and snapshots.
    async fn finish(self) {
        assert_eq!(self.runtime.list().await.unwrap(), []);
        for part in ["snapshots", "incoming", "gone"] {
            let left = fs::read_dir(self.directory.path().join("images").join(part)).unwrap().count();
            assert_eq!(left, 0, "{part}");
        }
        self.runtime.sweep().await.unwrap();
        let end = Instant::now() + DEADLINE;
        let whole = leak::Watched { directory: self.directory.path().to_owned(), cgroups: None };
        while !(leak::look(&self.watched()).is_empty() && leak::look(&whole).mounts.is_empty()) {
            assert!(Instant::now() < end, "{:?} {:?}", leak::look(&self.watched()), leak::look(&whole).mounts);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Ground {
    /// Also after a failed test nothing stays.
    fn drop(&mut self) {
        leak::sweep(&self.watched());
    }
}

async fn node(directory: &Path, blobs: &Arc<DirBlobs>) -> (ImageStore, OverlaySnapshots) {
    let blobs: Arc<dyn Blobs> = blobs.clone();
    let images = ImageStore::open(ImageOptions::new(directory), blobs, Arc::new(SystemClock)).await.unwrap();
    let options = SnapshotOptions { owner: "test".to_owned(), times: LayerTimes::Kept };
    let snapshots = OverlaySnapshots::new(&images, options);
    (images, snapshots)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_container_wrote_is_a_layer_for_others() {
    let ground = Ground::new().await;
    let manifest = ground.image(&[ground.busybox().await]).await;
    let image = ground.images.resolve(manifest).await.unwrap();

    let prepared = ground.snapshots.prepare(&image.layers).await.unwrap();
    let script = "cat /etc/low && echo made > /made && ln /made /other && rm /etc/low && mkdir /dir && echo x > /dir/x \
        && rm -r /lower && mkdir /lower && echo new > /lower/new && mv /tree /moved && chmod 750 / \
        && mkfifo /fifo && chown 5:6 /dir && ln -s /made /link";
    let (job, output) = ground.run(Ground::spec(&prepared, script)).await;
    assert_eq!(output, "from below");
    // It is still mounted, in the namespace of its supervisor only.
    for refused in
        [ground.snapshots.commit(&prepared.key).await.map(drop), ground.snapshots.discard(&prepared.key).await]
    {
        assert!(matches!(refused, Err(ImageError::Unavailable { .. })), "{refused:?}");
    }
    assert_eq!(ground.snapshots.sweep(&BTreeSet::new(), Timestamp::from_millis(u64::MAX)).await.unwrap(), []);
    ground.runtime.remove(job).await.unwrap();
    let layer = ground.snapshots.commit(&prepared.key).await.unwrap();
    let chain = [image.layers.clone(), vec![layer]].concat();

    let look = "cat /made /dir/x /lower/new /link; ls /lower; ls -l /made | tr -s ' ' | cut -d' ' -f2; \
        stat -c '%a %u:%g %F' / /dir /fifo /moved/bin; test -e /etc/low || echo gone; test -e /tree || echo moved; \
        test -e /etc && echo kept";
    let expected = "made\nx\nnew\nmade\nnew\n2\n750 0:0 directory\n755 5:6 directory\n644 0:0 fifo\n\
        777 0:0 symbolic link\ngone\nmoved\nkept";
    assert_eq!(ground.see(&ground.snapshots, &chain, look).await, expected);
    assert_eq!(
        ground.see(&ground.snapshots, &image.layers, "cat /etc/low; echo; test -e /made || echo none").await,
        "from below\nnone"
    );

    // Another node has nothing but the blobs, and sees the same.
    let elsewhere = ground.directory.path().join("elsewhere");
    let (other, snapshots) = node(&elsewhere, &ground.blobs).await;
    assert_eq!(ground.see(&snapshots, &chain, look).await, expected);
    drop((other, snapshots));
    ground.finish().await;
}

/// What two containers write the same way is the same layer, and nobody's changes are seen by others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_work_makes_equal_layers() {
    let ground = Ground::new().await;
    let base = ground.busybox().await;
    let times = LayerTimes::Fixed(Timestamp::from_millis(1_700_000_000_000));
    let fixed = OverlaySnapshots::new(&ground.images, SnapshotOptions { owner: "build".to_owned(), times });
    let mut layers = BTreeSet::new();
    for order in ["a b c", "c b a"] {
        let prepared = fixed.prepare(&[base]).await.unwrap();
        let script =
            format!("mkdir /out && for name in {order}; do echo $name > /out/$name; done; rm -r /lower; ls /out");
        let (job, output) = ground.run(Ground::spec(&prepared, &script)).await;
        assert_eq!(output, "a\nb\nc");
        ground.runtime.remove(job).await.unwrap();
        layers.insert(fixed.commit(&prepared.key).await.unwrap());
    }
    assert_eq!(layers.len(), 1);
    let chain = [base, layers.pop_first().unwrap()];
    let seen = ground.see(&fixed, &chain, "stat -c '%Y' /out /out/a; test -e /lower || echo gone").await;
    assert_eq!(seen, "1700000000\n1700000000\ngone");
    ground.finish().await;
}

/// More layers than one page of mount options holds by their full names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_layers_are_stacked() {
    const LAYERS: usize = 200;
    let ground = Ground::new().await;
    let mut chain = vec![ground.busybox().await];
    for index in 1..LAYERS {
        let write = |root: &Path| {
            fs::create_dir(root.join("tmp")).unwrap();
            fs::write(root.join("tmp/top"), index.to_string()).unwrap();
            fs::write(root.join(format!("tmp/{index}")), "").unwrap();
        };
        chain.push(ground.layer(write).await);
    }
    let seen = ground.see(&ground.snapshots, &chain, "ls /tmp | wc -l; cat /tmp/top").await;
    assert_eq!(seen, format!("{LAYERS}\n{}", LAYERS - 1));
    let long: Vec<_> =
        (0..501_u16).map(|n| Digest::from_bytes(std::array::from_fn(|i| n.to_be_bytes()[i % 2]))).collect();
    assert!(matches!(ground.snapshots.prepare(&long).await, Err(ImageError::Invalid { .. })));
    ground.finish().await;
}

/// A world of two namespaces: a node, and an outside that knows only the node's outer address.
struct World {
    name: String,
}

impl World {
    fn new(name: &str) -> Self {
        let world = Self { name: name.to_owned() };
        let (node, outside) = (world.named("n"), world.named("o"));
        ip(&["netns", "add", &node]);
        ip(&["netns", "add", &outside]);
        ip(&["-n", &node, "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", &outside]);
        for (namespace, link, address) in [(&node, "up0", "198.51.100.2/24"), (&outside, "down0", "198.51.100.1/24")] {
            ip(&["-n", namespace, "addr", "add", address, "dev", link]);
            ip(&["-n", namespace, "link", "set", link, "up"]);
            ip(&["-n", namespace, "link", "set", "lo", "up"]);
        }
        ip(&["-n", &node, "route", "add", "default", "via", "198.51.100.1"]);
        world
    }

    fn named(&self, part: &str) -> String {
        format!("flynn-test-{}-{part}", self.name)
    }

    fn path(&self, part: &str) -> PathBuf {
        Path::new("/run/netns").join(self.named(part))
    }

    fn enter(&self, part: &str, command: &[&str]) -> Command {
        let mut entered = Command::new("nsenter");
        entered.arg(format!("--net={}", self.path(part).display())).args(command);
        entered
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in fs::read_dir("/run/netns").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&format!("{}-", self.name)) || name.starts_with(&format!("flynn-test-{}-", self.name)) {
                let _ = Command::new("ip").args(["netns", "del", &name]).status();
            }
        }
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "{arguments:?}");
}

/// Knows the address of one name, until it is dropped.
struct NameServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start(namespace: &Path, name: &'static str, address: Ipv4Addr) -> Self {
        let namespace = File::open(namespace).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (ready, begun) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let socket = UdpSocket::bind("198.51.100.1:53").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            ready.send(()).unwrap();
            let mut packet = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((count, asker)) = socket.recv_from(&mut packet) {
                    socket.send_to(&answer(&packet[..count], name, address), asker).unwrap();
                }
            }
        });
        begun.recv_timeout(DEADLINE).unwrap();
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// The answer of RFC 1035 to a packet with one question.
fn answer(question: &[u8], name: &str, address: Ipv4Addr) -> Vec<u8> {
    let asked: Vec<u8> = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let is_address = question[end - 4..end] == [0, 1, 0, 1];
    let known = question[12..end - 5] == asked;
    let mut packet = question[..end].to_vec();
    packet[2..4].copy_from_slice(if known { &[0x81, 0x80] } else { &[0x81, 0x83] });
    packet[4..12].copy_from_slice(&[0, 1, 0, u8::from(known && is_address), 0, 0, 0, 0]);
    if known && is_address {
        packet.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
        packet.extend(address.octets());
    }
    packet
}

/// A program, until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_finds_names_and_reaches_the_world() {
    let ground = Ground::new().await;
    let world = World::new(&ground.name);
    let base = ground.busybox().await;
    // Programs with the machine's C library look names up as apps do.
    let library = ground
        .layer(|root| {
            for file in ["lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"] {
                fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
                fs::copy(Path::new("/").join(file), root.join(file)).unwrap();
            }
            fs::create_dir_all(root.join("bin")).unwrap();
            fs::copy("/usr/bin/getent", root.join("bin/getent")).unwrap();
            fs::create_dir_all(root.join("etc")).unwrap();
            fs::write(root.join("etc/nsswitch.conf"), "hosts: files dns\n").unwrap();
            symlink("nowhere", root.join("etc/hosts.old")).unwrap();
        })
        .await;
    let page = TempDir::new().unwrap();
    fs::write(page.path().join("page"), "the world").unwrap();
    let _names = NameServer::start(&world.path("o"), "web.example", [198, 51, 100, 1].into());
    let served = ["busybox", "httpd", "-f", "-p", "198.51.100.1:8080", "-h", page.path().to_str().unwrap()];
    let _server = Running(world.enter("o", &served).stderr(Stdio::null()).spawn().unwrap());

    let options = BridgeOptions {
        directory: ground.directory.path().join("network"),
        bridge: ground.name.clone(),
        subnet: "10.97.0.0/24".parse().unwrap(),
        quarantine: Duration::ZERO,
        // The world is next to the node.
        egress: Egress {
            resolvers: vec![[198, 51, 100, 1].into()],
            allowed: vec!["198.51.100.1:8080".parse().unwrap()],
        },
        node: Some(world.path("n")),
    };
    let network = BridgeNetwork::open(options, Arc::new(SystemClock)).await.unwrap();
    let forwards = world.enter("n", &["cat", "/proc/sys/net/ipv4/ip_forward"]).output().unwrap();
    assert_eq!(forwards.stdout, b"1\n");
    let attachment = network.attach(Ground::id(), Ground::id()).await.unwrap();

    let authorities = ground.directory.path().join("authorities.crt");
    fs::write(&authorities, "certificates\n").unwrap();
    let resolvers: Resolvers =
        "nameserver 127.0.0.53\nnameserver 198.51.100.1\noptions timeout:1 attempts:5".parse().unwrap();
    let files = ContainerFiles {
        hostname: "web-1".to_owned(),
        address: Some(attachment.address),
        hosts: vec![([192, 0, 2, 7].into(), "db".to_owned())],
        resolvers: Some(resolvers),
        authorities: Some(authorities),
    };
    let mounts = files.write(&ground.directory.path().join("files")).unwrap();
    let prepared = ground.snapshots.prepare(&[base, library]).await.unwrap();
    let script = "getent ahostsv4 web.example | head -1 | cut -d' ' -f1; getent ahostsv4 other.example || echo unknown; \
        getent hosts web-1 db | cut -d' ' -f1; cat /etc/hostname /etc/ssl/certs/ca-certificates.crt; \
        for try in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://198.51.100.1:8080/page && break; sleep 1; done; echo; \
        (echo x > /etc/resolv.conf) 2> /dev/null || echo read-only";
    let root = prepared.clone();
    let mut spec = ContainerSpec { mounts, network: Some(attachment.namespace), ..Ground::spec(&root, script) };
    spec.process.user = (1000, 1000);
    let (job, output) = ground.run(spec).await;
    let own = attachment.address;
    let expected = format!("198.51.100.1\nunknown\n{own}\n192.0.2.7\nweb-1\ncertificates\nthe world\nread-only");
    assert_eq!(output, expected);

    ground.runtime.remove(job).await.unwrap();
    ground.snapshots.discard(&prepared.key).await.unwrap();
    network.detach(attachment.job).await.unwrap();
    network.close().await.unwrap();
    ground.finish().await;
}
