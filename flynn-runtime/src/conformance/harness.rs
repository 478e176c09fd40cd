use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use flynn_core::noun::{Exit, Terminal};
use flynn_core::port::{Container, ContainerSpec, ContainerState, Exec, Process, Runtime, Secret};
use flynn_core::{Ids, JobId, SystemClock};
use futures::StreamExt;

use super::leak;
use crate::shim::{Files, LogRecord, Tag};

/// Makes a runtime on a place of its own, anew for each case.
#[async_trait]
pub trait RuntimeHarness: Send + Sync + 'static {
    /// The runtime.
    type Runtime: Runtime + Exec;

    /// Opens the runtime. Opened again, it comes back to the jobs it had.
    async fn open(&self) -> Self::Runtime;

    /// A container that runs `command`, with the programs of busybox to be found by their names.
    fn spec(&self, command: &[&str]) -> ContainerSpec;

    /// The files of a job.
    fn files(&self, job: JobId) -> Files;

    /// What must be as it was before, when all jobs are removed.
    fn watched(&self) -> leak::Watched;
}

/// A runtime with what a case needs around it.
pub struct World<H: RuntimeHarness> {
    /// Where it is.
    pub harness: H,
    /// The runtime.
    pub runtime: H::Runtime,
    before: leak::Found,
}

impl<H: RuntimeHarness> std::fmt::Debug for World<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// Makes the root file system of a small machine at `root`, with all programs of busybox in `bin`. Anybody
/// may read it.
pub fn busybox_root(root: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    for (name, mode) in [("", 0o755), ("bin", 0o755), ("etc", 0o755), ("usr", 0o755), ("tmp", 0o1777)] {
        let directory = root.join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("Debian's busybox-static is installed");
    // The links that it makes name wherever the machine has its busybox.
    std::os::unix::fs::symlink("../bin", root.join("usr/bin")).unwrap();
    let installed = std::process::Command::new("/bin/busybox").args(["--install", "-s"]).arg(root.join("bin")).status();
    assert!(installed.unwrap().success());
}

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);
/// The variable by which a job's processes are found from outside, whatever their numbers inside.
const JOB: &str = "TEST_JOB";

impl<H: RuntimeHarness> World<H> {
    /// Opens a runtime on a fresh place.
    pub async fn new(harness: H) -> Self {
        let before = leak::look(&harness.watched());
        let runtime = harness.open().await;
        Self { harness, runtime, before }
    }

    /// Removes all jobs and asserts that nothing of them is left.
    pub async fn finish(self) {
        for container in self.runtime.list().await.unwrap() {
            self.runtime.remove(container.job).await.unwrap();
        }
        assert_eq!(self.runtime.list().await.unwrap(), []);
        let watched = self.harness.watched();
        let clean = || {
            let left = leak::look(&watched).beyond(&self.before);
            (left.is_empty(), left)
        };
        // A process that was killed by somebody else than its parent stays for a moment.
        let end = Instant::now() + DEADLINE;
        while !clean().0 && Instant::now() < end {
            tokio::time::sleep(PAUSE).await;
        }
        assert_eq!(clean().1, leak::Found::default(), "something was left behind");
    }

    /// A fresh job id.
    pub fn job(&self) -> JobId {
        use flynn_core::Clock;
        Ids::from_entropy().next(SystemClock.now())
    }

    /// The spec for a shell script, whose processes can be found by the job.
    pub fn script(&self, job: JobId, script: &str) -> ContainerSpec {
        self.spec(job, &["sh", "-c", script])
    }

    /// The spec for a command, whose processes can be found by the job.
    pub fn spec(&self, job: JobId, command: &[&str]) -> ContainerSpec {
        let mut spec = self.harness.spec(command);
        spec.process.env.insert(JOB.to_owned(), Secret::new(job.to_string()));
        spec
    }

    /// A further process for a job made by [`script`](Self::script).
    pub fn process(&self, job: JobId, script: &str) -> Process {
        Process { interactive: true, ..self.script(job, script).process }
    }

    /// Creates a job from a spec and starts it.
    pub async fn start(&self, job: JobId, spec: ContainerSpec) {
        self.runtime.create(job, spec).await.unwrap();
        self.runtime.start(job).await.unwrap();
    }

    /// Creates and starts a shell script.
    pub async fn run(&self, script: &str) -> JobId {
        let job = self.job();
        self.start(job, self.script(job, script)).await;
        job
    }

    /// Runs a script to its end.
    pub async fn run_to_end(&self, script: &str) -> (JobId, Exit) {
        let job = self.run(script).await;
        let exit = self.exit(job).await;
        (job, exit)
    }

    /// What `list` says of a job.
    pub async fn state(&self, job: JobId) -> Option<ContainerState> {
        let found = self.runtime.list().await.unwrap().into_iter().find(|container| container.job == job);
        found.map(|Container { state, .. }| state)
    }

    /// Waits for the end of a job.
    pub async fn exit(&self, job: JobId) -> Exit {
        let mut wakes = self.runtime.exits();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(ContainerState::Exited { exit, .. }) = self.state(job).await {
                return exit;
            }
            assert!(Instant::now() < end, "{job} did not end: {:?}", self.state(job).await);
            // The wake says only that it is worth looking again.
            let _ = tokio::time::timeout(Duration::from_secs(1), wakes.next()).await;
        }
    }

    /// Waits until `condition` gives something.
    pub async fn until<T>(&self, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(Instant::now() < end, "waited in vain until {what}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the log of a job has a line.
    pub async fn logged(&self, job: JobId, text: &str) {
        self.until(text, async || self.lines(job).iter().any(|(_, line)| line == text).then_some(())).await;
    }

    /// The log of a job, without the platform's own lines.
    pub fn lines(&self, job: JobId) -> Vec<(Tag, String)> {
        let text = fs::read_to_string(self.harness.files(job).log()).unwrap_or_default();
        let mut lines: Vec<(Tag, String)> = Vec::new();
        let mut open = BTreeMap::new();
        for record in text.lines().map(|line| line.parse::<LogRecord>().unwrap()) {
            if record.tag == Tag::Platform {
                continue;
            }
            let part: &mut String = open.entry(record.tag as u8).or_default();
            part.push_str(&record.text);
            if !record.continued {
                lines.push((record.tag, std::mem::take(part)));
            }
        }
        lines
    }

    /// What a job wrote to its standard output, line by line.
    pub fn output(&self, job: JobId) -> Vec<String> {
        self.lines(job).into_iter().filter(|(tag, _)| *tag == Tag::Output).map(|(_, line)| line).collect()
    }

    /// The processes of a job, the first and all others, by their environment.
    pub fn processes(&self, job: JobId) -> Vec<u32> {
        let mark = format!("{JOB}={job}");
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes()) {
                found.push(pid);
            }
        }
        found
    }

    /// Waits until a job has no process any more.
    pub async fn dead(&self, job: JobId) {
        self.until("all processes are dead", async || self.processes(job).is_empty().then_some(())).await;
    }

    /// Kills the supervisor of a job, as nobody should.
    pub fn kill_supervisor(&self, job: JobId) {
        let record: crate::shim::ShimRecord = crate::shim::read_json(&self.harness.files(job).shim()).unwrap().unwrap();
        record.shim.kill().unwrap();
    }

    /// A terminal in place of pipes.
    pub fn on_terminal(mut process: Process) -> Process {
        process.terminal = Terminal::Pty;
        process
    }

    /// A file that a job may leave something in, seen from outside; for runtimes without isolation.
    pub fn directory(&self, job: JobId) -> PathBuf {
        self.harness.files(job).directory
    }
}
