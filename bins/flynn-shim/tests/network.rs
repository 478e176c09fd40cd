//! A container on a bridge: served, reached by the node, and without more than that.
#![allow(clippy::unwrap_used, reason = "a failed expectation ends the test")]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flynn_core::noun::Terminal;
use flynn_core::port::{ContainerSpec, Mount, MountSource, Process, Runtime, Secret};
use flynn_core::value::Resources;
use flynn_core::{AppId, Ids, JobId, SystemClock, Timestamp};
use flynn_runtime::conformance::{busybox_root, leak};
use flynn_runtime::network::{BridgeNetwork, BridgeOptions, Egress, Network};
use flynn_runtime::shim::LogLimits;
use flynn_runtime::{ContainerOptions, ContainerRuntime, ShimProgram};
use tempfile::TempDir;

struct Ground {
    root: TempDir,
    directory: TempDir,
    name: String,
}

impl Ground {
    fn watched(&self) -> leak::Watched {
        let cgroups = format!("/flynn-test-{}", self.name).parse().unwrap();
        leak::Watched { directory: self.directory.path().join("runtime"), cgroups: Some(cgroups) }
    }

    fn node(&self) -> PathBuf {
        Path::new("/run/netns").join(format!("flynn-test-{}", self.name))
    }
}

impl Drop for Ground {
    /// Also after a failed test nothing stays.
    fn drop(&mut self) {
        leak::sweep(&self.watched());
        for entry in std::fs::read_dir("/run/netns").unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains(&self.name) {
                let _ = Command::new("ip").args(["netns", "del", &name]).status();
            }
        }
    }
}

fn get(node: &Path, address: &str) -> String {
    let script = format!("exec 3<>/dev/tcp/{address}/80 && printf 'GET /page HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", node.display())).args(["timeout", "2", "bash", "-c", &script]);
    let output = command.stderr(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_serves_at_its_address() {
    let mut ids = Ids::from_entropy();
    let (job, app): (JobId, AppId) = (ids.next(Timestamp::EPOCH), ids.next(Timestamp::EPOCH));
    let hex = job.uuid().simple().to_string();
    let name = format!("c{}", &hex[hex.len() - 8..]);
    let ground = Ground { root: TempDir::new().unwrap(), directory: TempDir::new().unwrap(), name };
    busybox_root(ground.root.path());
    std::fs::write(ground.root.path().join("tmp/page"), "served from a container").unwrap();
    let node = ground.node();
    let made = Command::new("ip").args(["netns", "add"]).arg(node.file_name().unwrap()).status().unwrap();
    assert!(made.success());

    let options = BridgeOptions {
        directory: ground.directory.path().join("network"),
        bridge: ground.name.clone(),
        subnet: "10.98.0.0/24".parse().unwrap(),
        quarantine: Duration::ZERO,
        egress: Egress::default(),
        node: Some(node.clone()),
    };
    let network = BridgeNetwork::open(options, Arc::new(SystemClock)).await.unwrap();
    let attachment = network.attach(job, app).await.unwrap();

    let program = ShimProgram::load(Path::new(env!("CARGO_BIN_EXE_flynn-shim"))).unwrap();
    let leak::Watched { directory, cgroups } = ground.watched();
    let options =
        ContainerOptions { directory, owner: "test".to_owned(), cgroups: cgroups.unwrap(), log: LogLimits::default() };
    let runtime = ContainerRuntime::open(options, program).unwrap();
    let source = MountSource::Bind(ground.root.path().to_owned());
    let spec = ContainerSpec {
        app,
        hostname: "web".to_owned(),
        root: vec![Mount { source, target: "/".into(), read_only: true }],
        mounts: vec![],
        process: Process {
            // Nobody but root may open port 80 on the node; in its own network anybody may.
            command: ["httpd", "-f", "-p", "80", "-h", "/tmp"].map(str::to_owned).to_vec(),
            env: [("PATH".to_owned(), Secret::new("/bin"))].into(),
            directory: "/".into(),
            user: (1000, 1000),
            terminal: Terminal::None,
            interactive: false,
        },
        resources: Resources::ZERO,
        network: Some(attachment.namespace.clone()),
    };
    runtime.create(job, spec).await.unwrap();
    runtime.start(job).await.unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while !get(&node, &attachment.address.to_string()).ends_with("served from a container") {
        assert!(Instant::now() < end, "{:?}", std::fs::read_to_string(runtime.files(job).log()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    runtime.remove(job).await.unwrap();
    network.detach(job).await.unwrap();
    assert!(!attachment.namespace.exists());
    network.close().await.unwrap();
    assert!(leak::look(&ground.watched()).is_empty());
}
