//! Jobs as plain processes.

mod remains;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::noun::Terminal;
use flynn_core::port::{
    Container, ContainerSpec, Exec, Mount, MountSource, Process, Runtime, RuntimeError, Session, Signal, Wakes,
};

use crate::environment;
use crate::jobs::{Jobs, Place};
use crate::program::ShimProgram;
use crate::shim::{Config, ExecProcess, LogLimits, PROTOCOL, PlainProcess, Work};
use remains::{MARK, Marked, mark};

/// Runs jobs as plain processes, **without any isolation**, for machines without root and for fast tests.
///
/// A job of this runtime sees and may change whatever its user may: all files, all processes, the whole
/// network, and the other jobs. No memory, processor, disk or process limit holds it. It has no root file
/// system: its program is one of the machine. Never run what you do not trust in it.
///
/// What of a [`ContainerSpec`] it cannot do it refuses, where a job that goes on without it could do harm:
/// further mounts, a network namespace, and a root made of layers. A root that is one bind mount at `/` is
/// only where the working directory of the first process is looked for; a further process names a directory
/// of the machine. Ignored are host name and resources. Users are changed
/// if this process is root, and ignored otherwise.
///
/// It keeps the rest of the contract: jobs survive the process that made them, no exit is lost, and removal
/// leaves nothing. A job whose shim died is killed by its mark in the environment, so that only a process
/// that clears its own environment and loses its parent escapes that.
#[derive(Debug, Clone)]
pub struct ProcessRuntime {
    jobs: Jobs,
    owner: String,
    log: LogLimits,
}

impl ProcessRuntime {
    /// Takes `directory` for the runtime named `owner`, or comes back to it: all jobs are there again. It
    /// blocks.
    ///
    /// # Errors
    /// `Failed` if the directory cannot be used, such as when another owner has it.
    pub fn open(directory: &Path, owner: &str, program: ShimProgram, log: LogLimits) -> Result<Self, RuntimeError> {
        tracing::warn!(
            directory = %directory.display(),
            "jobs run as plain processes: nothing isolates them from this machine or from each other"
        );
        let absolute = std::path::absolute(directory)
            .map_err(|error| RuntimeError::Failed { operation: "open", source: error.into() })?;
        let remains = Arc::new(Marked::new(Place::locks_in(&absolute)));
        let jobs = Jobs::open(directory, owner, program, remains)?;
        let swept = jobs.sweep_locks();
        swept.map_err(|error| RuntimeError::Failed { operation: "open", source: error.into() })?;
        Ok(Self { jobs, owner: owner.to_owned(), log })
    }

    /// The files of a job, such as its log.
    pub fn files(&self, job: JobId) -> crate::shim::Files {
        self.jobs.files(job)
    }

    fn describe(
        &self,
        operation: &'static str,
        job: JobId,
        process: &Process,
        base: Option<&Path>,
    ) -> Result<PlainProcess, RuntimeError> {
        let mut env = environment::open(operation, process)?;
        env.insert(MARK.to_owned(), mark(&self.jobs.lock(job)));
        let directory = match base {
            Some(base) => base.join(process.directory.strip_prefix("/").unwrap_or(&process.directory)),
            None => process.directory.clone(),
        };
        let user = rustix::process::geteuid().is_root().then_some(process.user);
        Ok(PlainProcess { command: process.command.clone(), env, directory, user })
    }
}

/// The directory that stands for the root, if there is one.
fn base(root: &[Mount]) -> Result<Option<PathBuf>, RuntimeError> {
    match root {
        [] => Ok(None),
        [Mount { source: MountSource::Bind(path), target, .. }] if target == Path::new("/") => Ok(Some(path.clone())),
        _ => Err(cannot("a root that has to be mounted")),
    }
}

fn cannot(what: &str) -> RuntimeError {
    let problem = format!("plain processes cannot have {what}: use a container runtime");
    RuntimeError::Invalid { operation: "create", problem }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    async fn create(&self, job: JobId, spec: ContainerSpec) -> Result<(), RuntimeError> {
        if !spec.mounts.is_empty() {
            return Err(cannot("mounts"));
        }
        if spec.network.is_some() {
            return Err(cannot("a network of their own"));
        }
        let process = self.describe("create", job, &spec.process, base(&spec.root)?.as_deref())?;
        let config = |files: &crate::shim::Files| Config {
            protocol: PROTOCOL,
            job,
            owner: self.owner.clone(),
            directory: files.directory.clone(),
            lock: self.jobs.lock(job),
            terminal: spec.process.terminal == Terminal::Pty,
            interactive: spec.process.interactive,
            user: spec.process.user,
            log: self.log,
            work: Work::Plain(process),
        };
        self.jobs.create(job, config).await
    }

    async fn start(&self, job: JobId) -> Result<(), RuntimeError> {
        self.jobs.start(job).await
    }

    async fn signal(&self, job: JobId, signal: Signal) -> Result<(), RuntimeError> {
        self.jobs.signal(job, signal).await
    }

    async fn remove(&self, job: JobId) -> Result<(), RuntimeError> {
        self.jobs.remove(job).await
    }

    async fn list(&self) -> Result<Vec<Container>, RuntimeError> {
        self.jobs.list().await
    }

    fn exits(&self) -> Wakes {
        self.jobs.exits()
    }
}

#[async_trait]
impl Exec for ProcessRuntime {
    async fn exec(&self, job: JobId, process: Process) -> Result<Session, RuntimeError> {
        let described = ExecProcess::Plain(self.describe("exec", job, &process, None)?);
        self.jobs.exec(job, &process, described).await
    }

    async fn attach(&self, job: JobId) -> Result<Session, RuntimeError> {
        self.jobs.attach(job).await
    }
}
