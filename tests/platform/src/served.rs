use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use flynn_core::client::RemoteStore;
use flynn_core::name::{AppName, HostPattern, NodeName, ProcessName, TeamName};
use flynn_core::noun::{
    App, AppStatus, Desired, Entry, Formation, Health, Job, JobState, JobStatus, Liveness, Node, NodeStatus,
    ProcessType, Purpose, Release, ReleaseCause, Route, Scale, Team, Workload,
};
use flynn_core::port::{Beat, Member, Presence, Store};
use flynn_core::value::{Digest, Resources};
use flynn_core::{
    AppId, Batch, Change, Clock, Ids, JobId, NodeId, Principal, ReleaseId, Revision, SystemClock, TeamId, Timestamp,
};

/// An app in a store whose one instance is a thread of the test.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    beats: tokio::task::JoinHandle<()>,
}

/// Enters an app `web` at the host `web.test` into the store, with an instance at `host` that answers `hello`. It is
/// on a node of its own, whose agent is said to be there.
pub async fn serve(store: &RemoteStore, host: Ipv4Addr) -> Served {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (mut ids, now) = (Ids::from_entropy(), SystemClock.now());
    let (team, app, release): (TeamId, AppId, ReleaseId) = (ids.next(now), ids.next(now), ids.next(now));
    let (node, job): (NodeId, JobId) = (ids.next(now), ids.next(now));
    let web = ProcessName::new("web").unwrap();
    let process = ProcessType { port: Some(8080), ..ProcessType::new(vec!["./serve".into()]) };
    let image = Digest::from_bytes([1; 32]);
    let spec = Job {
        app,
        release,
        purpose: Purpose::Service { process: web.clone(), instance: 1, deployment: None },
        workload: Arc::new(Workload {
            app: AppName::new("web").unwrap(),
            release: 1,
            image,
            process: process.clone(),
            env: BTreeMap::new(),
        }),
        resources: Resources::ZERO,
        attempt: 0,
        not_before: Timestamp::EPOCH,
        node: Some(node),
        desired: Desired::Up,
    };
    let scale = Scale { count: 1, resources: Resources::ZERO };
    let capacity = Resources { cpu_millis: 1_000, memory_bytes: 1 << 30, disk_bytes: 1 << 40, pids: 1_000 };
    let changes = [
        Change::create(team, TeamId::SYSTEM, Team { name: TeamName::new("red").unwrap() }),
        Change::create(app, team, App::new(AppName::new("web").unwrap())),
        Change::create(
            release,
            team,
            Release {
                app,
                number: 1,
                image,
                env: BTreeMap::new(),
                processes: BTreeMap::from([(web.clone(), process)]),
                cause: ReleaseCause::Image("test".into()),
                commit: None,
            },
        ),
        Change::create(node, TeamId::SYSTEM, Node::new(NodeName::new("elsewhere").unwrap())),
        Change::report(node, NodeStatus { liveness: Liveness::Ready, capacity, ..NodeStatus::default() }),
        Change::create(
            ids.next(now),
            team,
            Route { app, process: web.clone(), entry: Entry::host(HostPattern::new("web.test").unwrap()) },
        ),
        Change::create(job, team, spec),
        Change::create(ids.next(now), team, Formation { app, processes: BTreeMap::from([(web, scale)]) }),
        Change::report(app, AppStatus { release: Some(release) }),
        Change::report(job, JobStatus { state: JobState::Assigned, since: now }),
        Change::report(
            job,
            JobStatus { state: JobState::Up { address: Some(address), health: Health::Healthy }, since: now },
        ),
    ];
    let batch = Batch { changes: changes.into(), ..Batch::new(Principal::System) };
    beat(store, node).await;
    store.commit(batch).await.unwrap();
    let store = store.clone();
    let beats = tokio::spawn(async move {
        loop {
            beat(&store, node).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || answer(&listener, &stopped));
    Served { address, stop, thread: Some(thread), beats }
}

/// Says that the node is there, as long as there is a control plane to say it to.
async fn beat(store: &RemoteStore, node: NodeId) {
    let beat = Beat { incarnation: "test".into(), acknowledged: Revision::ZERO };
    let _ = store.beat(Member::Node(node), beat, Duration::from_secs(60)).await;
}

fn answer(listener: &TcpListener, stop: &AtomicBool) {
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        let mut head = [0; 4_096];
        if stream.read(&mut head).is_ok_and(|count| count > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.beats.abort();
        self.stop.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
