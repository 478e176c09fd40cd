//! A real image on a real network, in a network namespace that plays the node.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::link::Frame;
use flynn_core::noun::{Desired, Exit, HealthCheck, OneOffInput, Probe, ProcessType, Terminal, Workload};
use flynn_core::port::{Blobs, ExecRequest, LinkRequest, LogSelection};
use flynn_core::value::Digest;
use flynn_core::{MemoryBlobs, SystemClock};
use flynn_runtime::agent::{ContainerWorkplace, ContainerWorkplaceOptions, ContainerWorkplaceParts, Workplace};
use flynn_runtime::image::{ImageOptions, ImageStore, LayerTimes};
use flynn_runtime::network::{BridgeNetwork, BridgeOptions, Egress, Network};
use flynn_runtime::snapshot::{OverlaySnapshots, SnapshotOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ground::{Ground, Opened};

/// Names the bridge in the process that runs inside the namespace.
const INSIDE: &str = "FLYNN_TEST_NODE";

struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        // Those of containers, after a test that failed, and the node's own.
        for entry in std::fs::read_dir("/run/netns").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(&self.0) {
                let _ = Command::new("ip").args(["netns", "del", &name]).status();
            }
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

#[test]
fn an_image_is_served_from_its_release_to_its_end() {
    let name = format!("i{:x}", std::process::id());
    let namespace = Namespace(name.clone());
    let node = format!("flynn-test-{name}");
    run("ip", &["netns", "add", &node]);
    run("ip", &["-n", &node, "link", "set", "lo", "up"]);
    let inside = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{node}"))
        .arg(std::env::current_exe().unwrap())
        .args(["imaged::inside", "--exact", "--nocapture"])
        .env(INSIDE, &name)
        .status();
    assert!(inside.unwrap().success());
    let left = std::fs::read_dir("/run/netns").unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(left.iter().filter(|left| left.contains(&name)).collect::<Vec<_>>(), [&node]);
    drop(namespace);
}

async fn put(blobs: &dyn Blobs, bytes: Vec<u8>) -> (Digest, usize) {
    let size = bytes.len();
    (blobs.put(Box::new(std::io::Cursor::new(bytes)), None).await.unwrap().digest, size)
}

/// An image of busybox with a page to serve.
async fn image(blobs: &dyn Blobs, place: &Path) -> Digest {
    let root = place.join("root");
    std::fs::create_dir(root.join("app")).unwrap();
    std::fs::write(root.join("app/page"), "served from an image").unwrap();
    let tar = place.join("layer.tar");
    let (tar_path, root_path) = (tar.to_str().unwrap(), root.to_str().unwrap());
    run("tar", &["--owner=0", "--group=0", "-C", root_path, "-cf", tar_path, "."]);
    let (layer, layer_size) = put(blobs, std::fs::read(&tar).unwrap()).await;
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin","SECRET=of the image"],"WorkingDir":"/app","User":"1001:1002"}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    );
    let (config, config_size) = put(blobs, config.into_bytes()).await;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{layer_size}}}]}}"#
    );
    put(blobs, manifest.into_bytes()).await.0
}

async fn get(address: std::net::SocketAddr) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What happens in the namespace. Whoever sets the variable is the test above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inside() {
    let Ok(name) = std::env::var(INSIDE) else { return };
    let ground = Ground::new(true).await;
    let clock = Arc::new(SystemClock);
    let blobs = Arc::new(MemoryBlobs::new(clock.clone()));
    let manifest = image(&*blobs, ground.place.path()).await;
    let path = |name: &str| -> PathBuf { ground.place.path().join(name) };

    let images = ImageStore::open(ImageOptions::new(path("images")), blobs, clock.clone()).await.unwrap();
    let options = SnapshotOptions { owner: "agent".to_owned(), times: LayerTimes::default() };
    let snapshots = OverlaySnapshots::new(&images, options);
    let options = BridgeOptions {
        directory: path("network"),
        bridge: name,
        subnet: "10.97.0.0/24".parse().unwrap(),
        quarantine: Duration::ZERO,
        egress: Egress::default(),
        node: None,
    };
    let network = Arc::new(BridgeNetwork::open(options, clock.clone()).await.unwrap());
    let options = ContainerWorkplaceOptions {
        records: path("places"),
        node: "n1".parse().unwrap(),
        resolvers: Some("nameserver 192.0.2.1".parse().unwrap()),
        authorities: None,
        trusts_root: false,
    };
    let parts = ContainerWorkplaceParts {
        images,
        snapshots: snapshots.clone(),
        network: network.clone(),
        environments: Arc::new(Opened),
    };
    let open = async || {
        let workplace = ContainerWorkplace::open(options.clone(), parts.clone(), &SystemClock).await.unwrap();
        ground.start(ground.containers(), Arc::new(workplace))
    };
    let agent = open().await;

    let script = "echo $SECRET $FLYNN_PROCESS $(id -u) $(id -g) $(pwd); grep -c 192.0.2.1 /etc/resolv.conf; \
                  touch /app/new && echo wrote; exec httpd -f -p $PORT";
    let probe = Probe::Http { path: "/page".parse().unwrap() };
    let (interval, timeout) = (Duration::from_millis(100), Duration::from_secs(5));
    let check = Some(HealthCheck { probe, interval, timeout, threshold: 3 });
    let program = ProcessType { port: Some(8080), check, ..ground.script(script) };
    let with_image = |mut job: flynn_core::noun::Job, image| {
        job.workload = Arc::new(Workload { image, ..(*job.workload).clone() });
        job
    };
    let job = ground.cluster.place(with_image(ground.cluster.service(program), manifest)).await;
    let address = ground.cluster.up(job).await.unwrap();
    assert_eq!(address.port(), 8080);
    assert!(get(address).await.ends_with("served from an image"));
    let lines = agent.lines(ground.cluster.app, LogSelection::Job(job)).await;
    let lines: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    // The layer belongs to root, who the job is not.
    assert_eq!(lines[..2], ["42 web.1 1001 1002 /app", "1"]);

    let command = ["sh", "-c", "echo $EXTRA $SECRET $(id -u) $(hostname)"].map(str::to_owned).to_vec();
    let env = [("EXTRA".parse().unwrap(), "more".to_owned())].into();
    let request = ExecRequest { command, terminal: Terminal::None, env, size: None };
    let (output, _, end) = agent.open(LinkRequest::Exec(job, request)).await.read_all().await;
    assert_eq!((output.as_str(), end), ("more 42 1001 web-1\n", Some(Frame::Exit(Exit::Code(0)))));

    // A second agent finds it all again, address and file system.
    agent.kill().await;
    let agent = open().await;
    assert!(get(address).await.ends_with("served from an image"));

    let missing = Digest::from_bytes([9; 32]);
    let never = ground.cluster.place(with_image(ground.cluster.service(ground.script("true")), missing)).await;
    let Exit::NotStarted { reason } = ground.cluster.exit(never).await else { panic!("there is no such image") };
    assert!(reason.contains("its image is not there") && reason.contains(&missing.to_string()), "{reason}");

    let once = ground.cluster.one_off(ground.script("echo once; exit 3"), Terminal::None, OneOffInput::Attached);
    let once = ground.cluster.place(with_image(once, manifest)).await;
    let (output, _, end) = agent.open(LinkRequest::Attach(once)).await.read_all().await;
    assert_eq!((output.as_str(), end), ("once\n", Some(Frame::Exit(Exit::Code(3)))));

    ground.cluster.tell(job, Desired::Down).await;
    ground.finish(agent).await;

    // A file system that was made and could not be noted goes when its job does.
    let workplace = ContainerWorkplace::open(options.clone(), parts.clone(), &SystemClock).await.unwrap();
    let stored = ground.cluster.get(once).await.unwrap();
    std::fs::create_dir_all(options.records.join(once.to_string()).join("snapshot.tmp")).unwrap();
    assert!(workplace.prepare(&stored).await.is_err());
    assert_eq!(snapshots.list().await.unwrap().len(), 1);
    workplace.release(once).await.unwrap();
    assert!(snapshots.list().await.unwrap().is_empty());
    assert_eq!(network.list().await.unwrap(), []);
}
