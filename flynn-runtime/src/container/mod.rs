//! Jobs as containers.

mod capability;
mod filters;
mod lookup;
mod remains;
mod seccomp;
mod spec;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::JobId;
use flynn_core::noun::Terminal;
use flynn_core::port::{Container, ContainerSpec, Exec, Process, Runtime, RuntimeError, Session, Signal, Wakes};

use crate::cgroup::{CgroupParent, Cgroups, Mode};
use crate::jobs::Jobs;
use crate::program::ShimProgram;
use crate::shim::{Config, ContainerWork, ExecProcess, Files, LogLimits, PROTOCOL, Work};
use filters::Filters;
pub use lookup::{ContainerFiles, Resolvers};
use remains::Grouped;

/// Runs jobs as containers. It needs root, and Linux on x86_64.
///
/// A container has PID, mount, UTS, IPC, network and control group namespaces of its own, a root file system
/// that only it and its supervisor see, no capability unless it runs as root, `no_new_privs`, a system call
/// filter that leaves out what makes namespaces or mounts, no device but the usual ones, masked kernel files,
/// and limits on memory, processor time and processes. Processes that are run in it later are confined by
/// the same description. Without a network namespace to join it has a loopback device that is down.
///
/// There is no user namespace: root inside is root outside, but for all of the above. `disk_bytes` is not
/// enforced here. A limit of zero is none, except for processes, of which there are never more than 4,096. A limit of
/// memory leaves no swap, where the kernel counts swap of control groups.
#[derive(Debug, Clone)]
pub struct ContainerRuntime {
    jobs: Jobs,
    options: Arc<ContainerOptions>,
    cgroups: Arc<Cgroups>,
    filters: Filters,
    most_files: u64,
}

/// Where a [`ContainerRuntime`] lives.
#[derive(Debug, Clone)]
pub struct ContainerOptions {
    /// Its directory. It is not on an overlay file system.
    pub directory: PathBuf,
    /// Its mark on all it makes. No two runtimes of a machine share one.
    pub owner: String,
    /// The control group below which all of its containers are. Nothing else is there.
    pub cgroups: CgroupParent,
    /// Bounds of the jobs' logs.
    pub log: LogLimits,
}

impl ContainerRuntime {
    /// Takes the directory, or comes back to it: all containers are there again. It blocks.
    ///
    /// # Errors
    /// `Unavailable` on a machine that cannot run containers; `Failed` if the directory cannot be used, such
    /// as when another owner has it.
    pub fn open(options: ContainerOptions, program: ShimProgram) -> Result<Self, RuntimeError> {
        let unavailable = |source: flynn_core::BoxError| RuntimeError::Unavailable { operation: "open", source };
        if !rustix::process::geteuid().is_root() {
            return Err(unavailable("containers need root: use plain processes".into()));
        }
        if !cfg!(target_arch = "x86_64") {
            return Err(unavailable("there is a system call filter for x86_64 only".into()));
        }
        let cgroups = Arc::new(Cgroups::detect().map_err(|error| unavailable(error.into()))?);
        match cgroups.mode() {
            mode @ Mode::V2 => {
                tracing::warn!(?mode, "on version 2 control groups rules for devices are not enforced");
            }
            mode => tracing::info!(?mode, "control groups"),
        }
        let most_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let remains = Grouped { cgroups: Arc::clone(&cgroups), parent: options.cgroups.clone() };
        let filters = Filters::new(program.clone());
        let jobs = Jobs::open(&options.directory, &options.owner, program, Arc::new(remains))?;
        Ok(Self { jobs, options: Arc::new(options), cgroups, filters, most_files })
    }

    /// The files of a job, such as its log.
    pub fn files(&self, job: JobId) -> Files {
        self.jobs.files(job)
    }

    fn describe(&self, job: JobId, spec: &ContainerSpec) -> Result<ContainerWork, RuntimeError> {
        spec::work(job, spec, &self.options.cgroups.job(job), self.most_files, self.cgroups.swap_limit())
    }

    /// Takes away what runtimes that died left of jobs that are gone, and the parent control group if nothing is in it any
    /// more. Call it at the start and at the end of a node's service.
    ///
    /// # Errors
    /// `Failed` if something could not be taken away.
    pub async fn sweep(&self) -> Result<(), RuntimeError> {
        let (cgroups, parent) = (Arc::clone(&self.cgroups), self.options.cgroups.clone());
        self.jobs
            .blocking("sweep", move |jobs| {
                // Groups are looked at before jobs, since a job's directory is older than its group.
                let groups = cgroups.below(&parent)?;
                jobs.sweep_locks()?;
                let known = jobs.known()?;
                let orphans = groups.iter().filter_map(|name| name.parse::<JobId>().ok());
                for job in orphans.filter(|job| !known.contains(job)) {
                    cgroups.destroy(&parent.job(job))?;
                }
                cgroups.remove_parent(&parent);
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl Runtime for ContainerRuntime {
    async fn create(&self, job: JobId, spec: ContainerSpec) -> Result<(), RuntimeError> {
        let mut work = self.describe(job, &spec)?;
        work.filter = self.filters.compiled(&work, spec.process.user.0).await;
        let config = |files: &Files| Config {
            protocol: PROTOCOL,
            job,
            owner: self.options.owner.clone(),
            directory: files.directory.clone(),
            lock: self.jobs.lock(job),
            terminal: spec.process.terminal == Terminal::Pty,
            interactive: spec.process.interactive,
            user: spec.process.user,
            log: self.options.log,
            work: Work::Container(work),
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
impl Exec for ContainerRuntime {
    async fn exec(&self, job: JobId, process: Process) -> Result<Session, RuntimeError> {
        let described = ExecProcess::Container(spec::process("exec", &process, self.most_files)?);
        self.jobs.exec(job, &process, described).await
    }

    async fn attach(&self, job: JobId) -> Result<Session, RuntimeError> {
        self.jobs.attach(job).await
    }
}
