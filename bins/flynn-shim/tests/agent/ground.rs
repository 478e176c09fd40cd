//! What an agent stands on in a test, and the agents themselves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::link::{Frame, FrameReader, FrameWriter};
use flynn_core::name::{EnvKey, NodeName};
use flynn_core::noun::{Job, OneOffInput, ProcessType, Purpose, Stored, Terminal};
use flynn_core::port::{
    ContainerSpec, Duplex, EventLog, Exec, ExecRequest, LinkHandler, LinkRequest, LogLine, LogQuery, LogSelection,
    LogSource, Mount, MountSource, Process, Runtime, Secret, Store,
};
use flynn_core::{JobId, MemoryPresence, SystemClock};
use flynn_runtime::agent::pass::Kept;
use flynn_runtime::agent::{
    Agent, AgentOptions, AgentParts, EnvironmentError, Environments, PlainWorkplace, Workplace, WorkplaceError,
};
use flynn_runtime::cgroup::CgroupParent;
use flynn_runtime::conformance::{Cluster, busybox_root, leak};
use flynn_runtime::logs::{LiveLogs, Logs, LogsOptions};
use flynn_runtime::shim::{Files, LogLimits, ShimRecord, read_json};
use flynn_runtime::{ContainerOptions, ContainerRuntime, ProcessRuntime, ShimProgram};
use futures::StreamExt;
use nix::sys::signal::{self, SigHandler, Signal};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A cluster of one node with its places on the disk.
pub(crate) struct Ground {
    pub(crate) cluster: Cluster,
    pub(crate) place: TempDir,
    before: leak::Found,
    contained: bool,
}

impl Ground {
    pub(crate) async fn new(contained: bool) -> Self {
        // As if the agent had been started by `nohup`: a job can handle its signals all the same.
        for signal in [Signal::SIGHUP, Signal::SIGINT] {
            // SAFETY: to ignore a signal runs no code.
            unsafe { signal::signal(signal, SigHandler::SigIgn) }.unwrap();
        }
        let place = TempDir::new().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        busybox_root(&place.path().join("root"));
        let mut ground = Self { cluster: Cluster::new().await, place, before: leak::Found::default(), contained };
        ground.before = leak::look(&ground.watched());
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub(crate) fn cgroups(&self) -> CgroupParent {
        let name = self.place.path().file_name().unwrap().to_str().unwrap().replace('.', "");
        format!("/flynn-test-{name}").parse().unwrap()
    }

    pub(crate) fn containers(&self) -> ContainerRuntime {
        let (directory, owner, log) = (self.path("runtime"), "agent".to_owned(), LogLimits::default());
        ContainerRuntime::open(ContainerOptions { directory, owner, cgroups: self.cgroups(), log }, shim()).unwrap()
    }

    pub(crate) fn processes(&self) -> ProcessRuntime {
        ProcessRuntime::open(&self.path("runtime"), "agent", shim(), LogLimits::default()).unwrap()
    }

    pub(crate) fn watched(&self) -> leak::Watched {
        leak::Watched { directory: self.path("runtime"), cgroups: self.contained.then(|| self.cgroups()) }
    }

    pub(crate) fn files(&self, job: JobId) -> Files {
        Files::new(self.path("runtime/jobs").join(job.to_string()))
    }

    /// A program that busybox's shell runs.
    pub(crate) fn script(&self, script: &str) -> ProcessType {
        let command = vec!["sh".into(), "-c".into(), script.into()];
        // The first process of a container takes no signal but KILL that it does not handle.
        ProcessType { stop_timeout: Duration::from_secs(4), ..ProcessType::new(command) }
    }

    pub(crate) async fn service(&self, script: &str) -> JobId {
        self.cluster.place(self.cluster.service(self.script(script))).await
    }

    pub(crate) async fn one_off(&self, script: &str, terminal: Terminal, input: OneOffInput) -> JobId {
        self.cluster.place(self.cluster.one_off(self.script(script), terminal, input)).await
    }

    pub(crate) fn logs<R: LiveLogs + 'static>(&self, runtime: Arc<R>) -> Arc<Logs> {
        Arc::new(Logs::open(LogsOptions::new(self.path("logs")), runtime).unwrap())
    }

    /// An agent over containers, or over plain processes.
    pub(crate) fn start_contained(&self) -> Running {
        let workplace = RootWorkplace { root: self.path("root"), records: self.path("places") };
        fs::create_dir_all(&workplace.records).unwrap();
        self.start(self.containers(), Arc::new(workplace))
    }

    pub(crate) fn start_plain(&self) -> Running {
        self.start(self.processes(), Arc::new(self.plain_workplace()))
    }

    pub(crate) fn plain_workplace(&self) -> PlainWorkplace {
        let path = ("PATH".to_owned(), self.path("root/bin").to_str().unwrap().to_owned());
        let node = NodeName::new("n1").unwrap();
        let places = self.path("places");
        PlainWorkplace::open(&places, &self.path("root"), vec![path], node, Arc::new(Opened)).unwrap()
    }

    pub(crate) fn start<R: Runtime + Exec + LiveLogs + 'static>(
        &self,
        runtime: R,
        workplace: Arc<dyn Workplace>,
    ) -> Running {
        self.start_in(self.cluster.store.clone(), runtime, workplace)
    }

    /// The same over another way to the store.
    pub(crate) fn start_in<S: Store + EventLog + 'static, R: Runtime + Exec + LiveLogs + 'static>(
        &self,
        store: Arc<S>,
        runtime: R,
        workplace: Arc<dyn Workplace>,
    ) -> Running {
        let runtime = Arc::new(runtime);
        let logs = self.logs(runtime.clone());
        let parts = AgentParts {
            store,
            presence: Arc::new(MemoryPresence::new(Arc::new(SystemClock))),
            runtime,
            workplace,
            logs: logs.clone(),
            clock: Arc::new(SystemClock),
        };
        let agent = Agent::new(parts, AgentOptions::new(self.cluster.node, self.cluster.status()));
        let link = agent.link();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            agent.run(stopped).await.unwrap();
        });
        Running { link, logs, stop: Some(stop), task }
    }

    /// Kills the supervisor of a job, as nobody should.
    pub(crate) fn kill_supervisor(&self, job: JobId) {
        let record: ShimRecord = read_json(&self.files(job).shim()).unwrap().unwrap();
        record.shim.kill().unwrap();
    }

    /// Waits until a job, which has ended, is taken away.
    pub(crate) async fn cleared(&self, job: JobId) {
        let gone = async || {
            let places = fs::read_dir(self.path("places")).into_iter().flatten().flatten();
            let mut kept = places.map(|entry| entry.file_name().to_string_lossy().into_owned());
            let is_kept = kept.any(|name| name.starts_with(&job.to_string()));
            (!self.files(job).directory.exists() && !is_kept).then_some(())
        };
        self.cluster.until("the job is taken away", gone).await;
    }

    /// Everything that was made is gone.
    pub(crate) async fn leaves_nothing(&self) {
        let clean = async || {
            let places = fs::read_dir(self.path("places")).map(|entries| entries.count()).unwrap_or(0);
            (leak::look(&self.watched()).beyond(&self.before).is_empty() && places == 0).then_some(())
        };
        self.cluster.until("nothing is left", clean).await;
    }

    /// Ends all jobs and sees to it that nothing is left.
    pub(crate) async fn finish(&self, running: Running) {
        let jobs: Vec<_> = self.jobs().await;
        for job in jobs.iter().filter(|job| !job.status.state.is_end()) {
            self.cluster.tell(job.id, flynn_core::noun::Desired::Down).await;
        }
        for job in &jobs {
            let ended = async || self.cluster.state(job.id).await.is_end().then_some(());
            self.cluster.until("the job has ended", ended).await;
        }
        self.leaves_nothing().await;
        running.stop().await;
        if self.contained {
            self.containers().sweep().await.unwrap();
            assert!(leak::look(&self.watched()).is_empty());
        }
    }

    async fn jobs(&self) -> Vec<Arc<Stored<Job>>> {
        let objects = self.cluster.store.snapshot(flynn_core::Scope::All).await.unwrap().objects;
        objects.iter::<Job>().cloned().collect()
    }
}

impl Drop for Ground {
    /// Also after a failed test nothing stays.
    fn drop(&mut self) {
        leak::sweep(&self.watched());
    }
}

fn shim() -> ShimProgram {
    ShimProgram::load(Path::new(env!("CARGO_BIN_EXE_flynn-shim"))).unwrap()
}

/// An agent that runs.
pub(crate) struct Running {
    pub(crate) link: Arc<dyn LinkHandler>,
    pub(crate) logs: Arc<Logs>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        self.task.await.unwrap();
    }

    /// Ends the agent wherever it is.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn open(&self, request: LinkRequest) -> Way {
        let stream = self.link.open(request).await.unwrap();
        let (read, write) = tokio::io::split(stream);
        Way { reader: FrameReader::new(read), writer: FrameWriter::new(write) }
    }

    pub(crate) async fn lines(&self, app: flynn_core::AppId, source: LogSelection) -> Vec<LogLine> {
        self.logs.flush().await;
        self.logs.lines(LogQuery { app, source, since: None, last: 10_000, follow: false }).collect().await
    }
}

/// What was opened through the link.
pub(crate) struct Way {
    pub(crate) reader: FrameReader<tokio::io::ReadHalf<Box<dyn Duplex>>>,
    pub(crate) writer: FrameWriter<tokio::io::WriteHalf<Box<dyn Duplex>>>,
}

impl Way {
    /// The next frame, within a time that is longer than anything takes.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(Duration::from_secs(40), self.reader.next()).await.expect("a frame").unwrap()
    }

    /// All output and errors, and the last frame.
    pub(crate) async fn read_all(&mut self) -> (String, String, Option<Frame>) {
        let (mut output, mut errors, mut end) = (Vec::new(), Vec::new(), None);
        while let Some(frame) = self.next().await {
            match frame {
                Frame::Output(bytes) => output.extend(bytes),
                Frame::Errors(bytes) => errors.extend(bytes),
                other => end = Some(other),
            }
        }
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output), text(errors), end)
    }

    /// Reads until the output has this text.
    pub(crate) async fn read_until(&mut self, text: &str) {
        let mut output = String::new();
        while !output.contains(text) {
            match self.next().await {
                Some(Frame::Output(bytes)) => output.push_str(&String::from_utf8_lossy(&bytes)),
                other => panic!("{other:?} after {output:?}"),
            }
        }
    }
}

/// Opens the environment of every job.
pub(crate) struct Opened;

#[async_trait]
impl Environments for Opened {
    async fn open(&self, _: JobId) -> Result<BTreeMap<EnvKey, Secret>, EnvironmentError> {
        Ok([(EnvKey::new("SECRET").unwrap(), Secret::new("42"))].into())
    }
}

/// Runs every job in the same root, without a network. It notes what it was asked for.
pub(crate) struct RootWorkplace {
    root: PathBuf,
    records: PathBuf,
}

#[async_trait]
impl Workplace for RootWorkplace {
    async fn prepare(&self, job: &Stored<Job>) -> Result<ContainerSpec, WorkplaceError> {
        fs::write(self.records.join(format!("{}.json", job.id)), "").unwrap();
        let (terminal, interactive) = match job.spec.purpose {
            Purpose::OneOff { terminal, input } => (terminal, input == OneOffInput::Attached),
            Purpose::Service { .. } => (Terminal::None, false),
        };
        Ok(ContainerSpec {
            app: job.spec.app,
            hostname: "test".to_owned(),
            root: vec![Mount { source: MountSource::Bind(self.root.clone()), target: "/".into(), read_only: true }],
            mounts: vec![],
            process: self.describe(job.spec.workload.process.command.clone(), terminal, interactive),
            resources: job.spec.resources,
            network: None,
        })
    }

    async fn process(&self, _: &Stored<Job>, request: &ExecRequest) -> Result<Process, WorkplaceError> {
        Ok(self.describe(request.command.clone(), request.terminal, true))
    }

    async fn release(&self, job: JobId) -> Result<(), WorkplaceError> {
        // One that is not there is no error.
        let _ = fs::remove_file(self.records.join(format!("{job}.json")));
        Ok(())
    }

    async fn list(&self) -> Result<BTreeMap<JobId, Kept>, WorkplaceError> {
        let names = fs::read_dir(&self.records).unwrap().map(|entry| entry.unwrap().file_name());
        let job = |name: std::ffi::OsString| name.to_str().unwrap().strip_suffix(".json").unwrap().parse().unwrap();
        Ok(names.map(|name| (job(name), Kept::default())).collect())
    }
}

impl RootWorkplace {
    fn describe(&self, command: Vec<String>, terminal: Terminal, interactive: bool) -> Process {
        let env = [("PATH".to_owned(), Secret::new("/bin"))].into();
        Process { command, env, directory: "/".into(), user: (1000, 1000), terminal, interactive }
    }
}
