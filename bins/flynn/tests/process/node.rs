//! The node of a test: it takes a Procfile for a build and reports jobs as up, without containers. The programs of
//! one-off jobs are run by [`Links`](crate::links::Links).

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::name::{NodeName, ProcessName};
use flynn_core::noun::{
    Build, BuildIntent, BuildOutput, BuildState, BuildStatus, Desired, Exit, Health, Job, JobState, JobStatus,
    Liveness, Node, NodeStatus, OneOffInput, ProcessType, Purpose, Stored,
};
use flynn_core::port::{Beat, Blobs, Member, Presence, Store};
use flynn_core::value::{Digest, Resources};
use flynn_core::{
    Batch, Change, Clock, Ids, MemoryPresence, MemoryStore, NodeId, Principal, Revision, Scope, SystemClock, TeamId,
};
use tokio::io::AsyncReadExt;

const TICK: Duration = Duration::from_millis(20);
const LEASE: Duration = Duration::from_secs(10);

/// Lives as the node `n1`.
pub(crate) async fn serve(store: Arc<MemoryStore>, presence: Arc<MemoryPresence>, blobs: Arc<dyn Blobs>) {
    let id: NodeId = Ids::from_entropy().next(SystemClock.now());
    let capacity = Resources { cpu_millis: 8_000, memory_bytes: 64 << 30, disk_bytes: 1 << 40, pids: 1 << 20 };
    let status = NodeStatus { liveness: Liveness::Ready, capacity, ..NodeStatus::default() };
    let node = Node::new(NodeName::new("n1").unwrap());
    let changes = [Change::create(id, TeamId::SYSTEM, node), Change::report(id, status)];
    store.commit(Batch { changes: changes.into(), ..Batch::new(Principal::System) }).await.unwrap();
    loop {
        let beat = Beat { incarnation: "1".into(), acknowledged: Revision::ZERO };
        presence.beat(Member::Node(id), beat, LEASE).await.unwrap();
        let objects = store.snapshot(Scope::All).await.unwrap().objects;
        let mut changes = Vec::new();
        for job in objects.iter::<Job>().filter(|job| job.spec.node == Some(id)) {
            let since = SystemClock.now();
            changes.extend(next_state(job).map(|state| Change::report(job.id, JobStatus { state, since })));
        }
        for build in objects.iter::<Build>().filter(|build| build.spec.node == Some(id)) {
            let since = SystemClock.now();
            let state = next_build_state(build, &*blobs).await;
            changes.extend(state.map(|state| Change::report(build.id, BuildStatus { state, since })));
        }
        for change in changes {
            // What was decided meanwhile is seen at the next tick.
            let _ = store.commit(Batch::new(Principal::Node(id)).with(change)).await;
        }
        tokio::time::sleep(TICK).await;
    }
}

fn next_state(job: &Stored<Job>) -> Option<JobState> {
    let command = &job.spec.workload.process.command;
    let is_attached = matches!(job.spec.purpose, Purpose::OneOff { input: OneOffInput::Attached, .. });
    match (&job.status.state, job.spec.desired) {
        (JobState::Assigned | JobState::Starting, Desired::Down) => {
            Some(JobState::Exited(Exit::NotStarted { reason: "told to end".into() }))
        }
        (JobState::Assigned, _) => Some(JobState::Starting),
        // It starts when somebody attaches.
        (JobState::Starting, _) if is_attached => None,
        (JobState::Starting, _) if command.iter().any(|word| word.contains("crash")) => {
            Some(JobState::Exited(Exit::Code(3)))
        }
        (JobState::Starting, _) => {
            Some(JobState::Up { address: Some("10.0.0.1:8080".parse().unwrap()), health: Health::Healthy })
        }
        (JobState::Up { .. }, Desired::Down) => Some(JobState::Stopping),
        (JobState::Stopping, _) => Some(JobState::Exited(Exit::Code(0))),
        _ => None,
    }
}

async fn next_build_state(build: &Stored<Build>, blobs: &dyn Blobs) -> Option<BuildState> {
    match (&build.status.state, build.spec.desired) {
        (BuildState::Assigned | BuildState::Running, BuildIntent::Cancel) => Some(BuildState::Cancelled),
        (BuildState::Assigned, BuildIntent::Finish) => Some(BuildState::Running),
        (BuildState::Running, BuildIntent::Finish) => match procfile(build.spec.source, blobs).await {
            // One that is to be cancelled goes on until then.
            Some(text) if text.contains("forever") => None,
            Some(text) => Some(BuildState::Succeeded(output(&text))),
            None => Some(BuildState::Failed { step: "detect".into(), reason: "there is no Procfile".into() }),
        },
        _ => None,
    }
}

async fn procfile(source: Digest, blobs: &dyn Blobs) -> Option<String> {
    let mut bytes = Vec::new();
    blobs.open(source).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("Procfile") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return Some(text);
        }
    }
    None
}

fn output(procfile: &str) -> BuildOutput {
    let processes: BTreeMap<_, _> = procfile
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, command)| {
            let name = ProcessName::new(name).unwrap();
            let port = name.is_web().then_some(8_080);
            let command = command.split(' ').map(str::to_owned).collect();
            (name, ProcessType { port, ..ProcessType::new(command) })
        })
        .collect();
    BuildOutput { image: Digest::from_bytes([1; 32]), processes }
}
