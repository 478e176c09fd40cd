//! Agents and supervisors are killed at random moments; nothing is lost and nothing leaks.
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation ends the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flynn_core::noun::{Exit, Terminal};
use flynn_core::port::{ContainerSpec, ContainerState, Mount, MountSource, Process, Runtime, Secret};
use flynn_core::value::Resources;
use flynn_core::{Ids, JobId, Timestamp};
use flynn_runtime::cgroup::CgroupParent;
use flynn_runtime::conformance::{busybox_root, leak};
use flynn_runtime::shim::{Files, LogLimits, ShimRecord, read_json};
use flynn_runtime::{ContainerOptions, ContainerRuntime, ProcessRuntime, ShimProgram};
use tempfile::TempDir;

const SHIM: &str = env!("CARGO_BIN_EXE_flynn-shim");
/// Tells the agent, a copy of this test program, where it works. Whoever sets it is the test below.
const AGENT: &str = "FLYNN_TEST_AGENT";
const JOBS: usize = 6;

enum Any {
    Plain(ProcessRuntime),
    Container(ContainerRuntime),
}

impl Any {
    fn get(&self) -> &dyn Runtime {
        match self {
            Self::Plain(runtime) => runtime,
            Self::Container(runtime) => runtime,
        }
    }
}

struct Ground {
    containers: bool,
    place: PathBuf,
}

impl Ground {
    fn new(containers: bool, place: &Path) -> Self {
        Self { containers, place: place.to_owned() }
    }

    fn cgroups(&self) -> CgroupParent {
        let name = self.place.file_name().unwrap().to_str().unwrap().replace('.', "");
        format!("/flynn-test-{name}").parse().unwrap()
    }

    fn runtime(&self) -> Any {
        let program = ShimProgram::load(Path::new(SHIM)).unwrap();
        let (directory, owner, log) = (self.place.join("runtime"), "faults", LogLimits::default());
        if !self.containers {
            return Any::Plain(ProcessRuntime::open(&directory, owner, program, log).unwrap());
        }
        let options = ContainerOptions { directory, owner: owner.to_owned(), cgroups: self.cgroups(), log };
        Any::Container(ContainerRuntime::open(options, program).unwrap())
    }

    fn files(&self, job: JobId) -> Files {
        Files::new(self.place.join("runtime/jobs").join(job.to_string()))
    }

    fn watched(&self) -> leak::Watched {
        let cgroups = self.containers.then(|| self.cgroups());
        leak::Watched { directory: self.place.join("runtime"), cgroups }
    }

    /// Counts to a number of its own and ends with it.
    fn spec(&self, number: usize) -> ContainerSpec {
        let root = self.place.join("root");
        let script = format!("i=0; while [ $i -lt {number} ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit {number}");
        let path = if self.containers { "/bin".to_owned() } else { root.join("bin").to_str().unwrap().to_owned() };
        ContainerSpec {
            app: flynn_core::AppId::NIL,
            hostname: "faults".to_owned(),
            root: vec![Mount { source: MountSource::Bind(root), target: "/".into(), read_only: true }],
            mounts: vec![],
            process: Process {
                command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
                env: [("PATH".to_owned(), Secret::new(path))].into(),
                directory: "/".into(),
                user: (1000, 1000),
                terminal: Terminal::None,
                interactive: false,
            },
            resources: Resources::ZERO,
            network: None,
        }
    }
}

fn jobs(seed: u64) -> Vec<JobId> {
    let mut ids = Ids::seeded(seed);
    (0..JOBS).map(|_| ids.next(Timestamp::EPOCH)).collect()
}

fn ends_with(number: usize) -> usize {
    number * 3 + 1
}

/// What a node agent does: sees to it that each of its jobs was created and started. It is killed while it
/// does so, so it may begin anywhere.
#[test]
fn agent() {
    let Ok(told) = std::env::var(AGENT) else {
        return;
    };
    let [kind, seed, place] = told.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let ground = Ground::new(kind == "containers", Path::new(place));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let any = ground.runtime();
        for (number, job) in jobs(seed.parse().unwrap()).into_iter().enumerate() {
            any.get().create(job, ground.spec(ends_with(number))).await.unwrap();
            any.get().start(job).await.unwrap();
        }
    });
}

/// SplitMix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn seeds() -> u64 {
    let seeds = std::env::var("FLYNN_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    // A seed takes seconds, so that a long run takes a tenth of what it is told.
    seeds.map_or(2, |seeds: u64| (seeds / 100).max(2))
}

/// Runs agents and kills them at drawn moments until one gets through.
fn drive(ground: &Ground, seed: u64, state: &mut u64) {
    let kind = if ground.containers { "containers" } else { "plain" };
    for attempt in 0.. {
        let mut agent = Command::new(std::env::current_exe().unwrap())
            .args(["agent", "--exact", "--nocapture"])
            .env(AGENT, format!("{kind} {seed} {}", ground.place.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // After some deaths it may live, or a slow machine would never get there.
        let moment = match attempt {
            0..6 => Duration::from_millis(5 + draw(state) % (60 * (attempt + 1))),
            _ => Duration::from_secs(50),
        };
        let end = Instant::now() + moment;
        let mut ended = agent.try_wait().unwrap();
        while ended.is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
            ended = agent.try_wait().unwrap();
        }
        match ended {
            Some(status) => {
                assert!(status.success(), "seed {seed}: an agent failed on its own");
                return;
            }
            None => {
                agent.kill().unwrap();
                agent.wait().unwrap();
            }
        }
    }
}

async fn until<T>(seed: u64, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "seed {seed}: waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn states(any: &Any) -> BTreeMap<JobId, ContainerState> {
    any.get().list().await.unwrap().into_iter().map(|container| (container.job, container.state)).collect()
}

async fn leaves_nothing(ground: &Ground, any: &Any, seed: u64) {
    for job in states(any).await.into_keys() {
        any.get().remove(job).await.unwrap();
    }
    if let Any::Container(runtime) = any {
        runtime.sweep().await.unwrap();
    }
    let clean = async || leak::look(&ground.watched()).is_empty().then_some(());
    until(seed, "nothing is left", clean).await;
}

async fn agents_are_killed(containers: bool) {
    for seed in 0..seeds() {
        let place = TempDir::new().unwrap();
        let ground = Ground::new(containers, place.path());
        let _sweep = Sweep(ground.watched());
        prepare(&ground);
        let mut state = seed;
        drive(&ground, seed, &mut state);
        let any = ground.runtime();
        for (number, job) in jobs(seed).into_iter().enumerate() {
            let wanted = Exit::Code(i32::try_from(ends_with(number)).unwrap());
            let ended = async || match states(&any).await.remove(&job) {
                Some(ContainerState::Exited { exit, .. }) => Some(exit),
                Some(ContainerState::Lost { reason }) => panic!("seed {seed}: {job} was lost: {reason}"),
                _ => None,
            };
            assert_eq!(until(seed, "the job has ended", ended).await, wanted, "seed {seed}");
            let log = fs::read_to_string(ground.files(job).log()).unwrap();
            let lines: Vec<_> = log.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
            let expected: Vec<_> = (1..=ends_with(number)).map(|line| line.to_string()).collect();
            assert_eq!(lines, expected, "seed {seed}: each line is there once");
        }
        leaves_nothing(&ground, &any, seed).await;
    }
}

async fn supervisors_are_killed(containers: bool) {
    for seed in 0..seeds() {
        let place = TempDir::new().unwrap();
        let ground = Ground::new(containers, place.path());
        let _sweep = Sweep(ground.watched());
        prepare(&ground);
        let mut state = seed;
        let any = ground.runtime();
        for (number, job) in jobs(seed).into_iter().enumerate() {
            any.get().create(job, ground.spec(ends_with(number))).await.unwrap();
            let started = any.get().start(job);
            let killed = async {
                tokio::time::sleep(Duration::from_micros(draw(&mut state) % 60_000)).await;
                let record: ShimRecord = read_json(&ground.files(job).shim()).unwrap().unwrap();
                record.shim.kill().unwrap();
            };
            // A start whose supervisor dies may fail; what counts is what the list says.
            let _ = tokio::join!(started, killed);
        }
        for job in jobs(seed) {
            let settled = async || match states(&any).await.remove(&job) {
                Some(state @ (ContainerState::Exited { .. } | ContainerState::Lost { .. })) => Some(state),
                _ => None,
            };
            let first = until(seed, "the job is settled", settled).await;
            assert_eq!(states(&any).await.remove(&job), Some(first), "seed {seed}: the end changed");
        }
        leaves_nothing(&ground, &any, seed).await;
    }
}

struct Sweep(leak::Watched);

impl Drop for Sweep {
    fn drop(&mut self) {
        leak::sweep(&self.0);
    }
}

fn prepare(ground: &Ground) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&ground.place, fs::Permissions::from_mode(0o755)).unwrap();
    busybox_root(&ground.place.join("root"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_process_is_lost_with_its_agent() {
    agents_are_killed(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_container_is_lost_with_its_agent() {
    agents_are_killed(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_ends_with_its_supervisor() {
    supervisors_are_killed(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_ends_with_its_supervisor() {
    supervisors_are_killed(true).await;
}

/// A check that finds nothing is worth nothing: each kind of leak is planted and must be found.
#[test]
fn planted_leaks_are_found() {
    let place = TempDir::new().unwrap();
    let ground = Ground::new(true, place.path());
    let watched = ground.watched();
    let _any = ground.runtime();
    let before = leak::look(&watched);
    assert!(before.is_empty(), "{before:?}");
    let check = |what: &str, count: fn(&leak::Found) -> usize, plant: &mut dyn FnMut(), undo: &mut dyn FnMut()| {
        plant();
        let found = leak::look(&watched).beyond(&before);
        assert_eq!(count(&found), 1, "{what}: {found:?}");
        undo();
        assert!(leak::look(&watched).beyond(&before).is_empty(), "{what}");
    };
    let job = jobs(1)[0];
    let directory = ground.files(job).directory;
    check("files", |found| found.files.len(), &mut || fs::create_dir(&directory).unwrap(), &mut || {
        fs::remove_dir(&directory).unwrap();
    });

    let volume = place.path().join("runtime/volume");
    fs::create_dir(&volume).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).arg(&volume).status().unwrap().success());
    };
    check("mounts", |found| found.mounts.len(), &mut || run("mount", &["-t", "tmpfs", "none"]), &mut || {
        run("umount", &[]);
    });

    let group = Path::new("/sys/fs/cgroup").join(watched_group()).join(&ground.cgroups().to_string()[1..]);
    check(
        "control groups",
        |found| found.cgroups.len(),
        &mut || fs::create_dir_all(group.join(job.to_string())).unwrap(),
        &mut || {
            fs::remove_dir(group.join(job.to_string())).unwrap();
            fs::remove_dir(&group).unwrap();
        },
    );

    let file = fs::File::create(place.path().join("runtime/held")).unwrap();
    let child = std::cell::RefCell::new(None);
    check(
        "processes",
        |found| found.processes.len(),
        &mut || {
            let file = file.try_clone().unwrap();
            *child.borrow_mut() = Some(Command::new("sleep").arg("1000").stdin(Stdio::from(file)).spawn().unwrap());
        },
        &mut || {
            let mut child = child.take().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        },
    );
}

/// A hierarchy of version 1 that every machine with it has; on version 2 there is one for all.
fn watched_group() -> &'static str {
    if Path::new("/sys/fs/cgroup/pids").exists() { "pids" } else { "" }
}
