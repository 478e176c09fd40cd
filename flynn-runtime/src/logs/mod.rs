//! The logs of one node: lines of jobs, builds and the platform, kept in files of bounded size.
//!
//! The lines of a job that is there are in the files its supervisor writes; when the job is taken away they are put
//! aside, and read from there. What builds and the platform say is written here. A reader sees one stream: no line
//! is lost or given twice when files are rotated or put aside while it reads, unless it falls behind what is kept.
//!
//! ```text
//! DIRECTORY/APP/jobs/JOB/about.json    whose it is, from before it is created
//! DIRECTORY/APP/jobs/JOB/parts/...     its files, once it was taken away
//! DIRECTORY/APP/platform/log           what the platform says about the app
//! DIRECTORY/builds/BUILD/log           what a build says
//! ```

mod archive;
mod cursor;
mod follow;
mod origin;
mod part;
mod write;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flynn_core::noun::{Job, Purpose, Stored};
use flynn_core::port::{Lines, LogLine, LogQuery, LogSink, LogSource};
use flynn_core::{BoxError, JobId};

use crate::shim::Files;
use archive::Archive;
use origin::About;
use write::Writer;

/// Where the files of a job are while a runtime has it.
pub trait LiveLogs: Send + Sync {
    /// The files of this job, whether it is there or not.
    fn files(&self, job: JobId) -> Files;
}

impl LiveLogs for crate::ContainerRuntime {
    fn files(&self, job: JobId) -> Files {
        Self::files(self, job)
    }
}

impl LiveLogs for crate::ProcessRuntime {
    fn files(&self, job: JobId) -> Files {
        Self::files(self, job)
    }
}

/// Where logs are kept, and how much of them.
#[derive(Debug, Clone)]
pub struct LogsOptions {
    /// Their directory. On the file system of the runtime's own nothing is copied when a job is taken away.
    pub directory: PathBuf,
    /// What the ended jobs of one app may take, in bytes. The oldest are forgotten first, and also those before
    /// the last 200.
    pub app_bytes: u64,
    /// What all ended jobs may take.
    pub total_bytes: u64,
    /// How many ended jobs of all apps are kept, however little they wrote.
    pub total_jobs: usize,
    /// What one build may take; of what is more the newest half is kept.
    pub build_bytes: u64,
    /// What all builds may take.
    pub builds_bytes: u64,
    /// What the platform's lines about one app may take.
    pub platform_bytes: u64,
    /// What the platform's lines about all apps may take on the disk. Those about the app of which nothing was
    /// said for the longest time are forgotten first.
    pub platforms_bytes: u64,
    /// How many lines may wait to be written.
    pub queue: usize,
}

impl LogsOptions {
    /// The usual limits: 64 MiB for an app, 2 GiB and 10 000 jobs for all; 8 MiB for a build, 512 MiB for all;
    /// 2 MiB of the platform's lines for an app, 128 MiB for all.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            app_bytes: 64 << 20,
            total_bytes: 2 << 30,
            total_jobs: 10_000,
            build_bytes: 8 << 20,
            builds_bytes: 512 << 20,
            platform_bytes: 2 << 20,
            platforms_bytes: 128 << 20,
            queue: 4_096,
        }
    }
}

/// Why a log is not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// It was tried and failed, such as on a full disk.
    #[error("{operation} failed")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

/// The logs of a node.
///
/// As a [`LogSink`] it takes the lines of builds and of the platform; those of jobs are their supervisors' to
/// write, and are dropped. A thread of its own writes them, which ends with it.
#[derive(Debug)]
pub struct Logs {
    archive: Arc<Archive>,
    writer: Writer,
}

impl Logs {
    /// Takes a directory, or comes back to it. It blocks. Use one of them for a directory at a time.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(options: LogsOptions, live: Arc<dyn LiveLogs>) -> Result<Self, LogsError> {
        const OPERATION: &str = "open the logs";
        let writer = Writer::start(&options).map_err(failed(OPERATION))?;
        let archive = Archive::open(options, live).map_err(failed(OPERATION))?;
        Ok(Self { archive: Arc::new(archive), writer })
    }

    /// Notes whose job it is. Call it before the job is created; it can be repeated.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn begin(&self, job: &Stored<Job>) -> Result<(), LogsError> {
        let process = match &job.spec.purpose {
            Purpose::Service { process, .. } => Some(process.clone()),
            Purpose::OneOff { .. } => None,
        };
        let (app, id, about) = (job.spec.app, job.id, About { process });
        self.blocking("begin a log", move |archive| archive.begin(app, id, &about)).await
    }

    /// Puts the log of an ended job aside. Call it before the job is taken away; it can be repeated. One that did
    /// not begin has nothing to be put aside.
    ///
    /// # Errors
    /// `Failed`; the job must then not be taken away.
    pub async fn end(&self, job: JobId) -> Result<(), LogsError> {
        self.blocking("put a log aside", move |archive| archive.end(job)).await
    }

    /// The jobs whose logs have begun and were not put aside.
    pub fn begun(&self) -> Vec<JobId> {
        self.archive.begun()
    }

    /// Waits until all lines emitted so far are in their files. They then outlive this process.
    pub async fn flush(&self) {
        self.writer.flush().await;
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Archive) -> io::Result<T> + Send + 'static,
    ) -> Result<T, LogsError> {
        let archive = self.archive.clone();
        match tokio::task::spawn_blocking(move || work(&archive)).await {
            Ok(result) => result.map_err(failed(operation)),
            Err(error) => Err(LogsError::Failed { operation, source: error.into() }),
        }
    }
}

impl LogSink for Logs {
    fn emit(&self, line: LogLine) {
        self.writer.emit(line);
    }

    fn dropped(&self) -> u64 {
        self.writer.dropped()
    }
}

impl LogSource for Logs {
    fn lines(&self, query: LogQuery) -> Lines {
        follow::lines(self.archive.clone(), query)
    }
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> LogsError {
    move |error| LogsError::Failed { operation, source: error.into() }
}
