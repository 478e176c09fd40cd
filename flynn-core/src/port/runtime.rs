use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::BoxError;
use crate::noun::{AppId, Exit, JobId, Terminal};
use crate::port::{Mount, Secret};
use crate::time::Timestamp;
use crate::value::Resources;

/// The containers of one node.
///
/// Every method can be repeated. A container outlives the process that made it: after a restart `list`
/// shows it again. No exit is lost: an ended container stays in `list` until `remove`, which the caller
/// calls after it has committed the exit. A runtime touches only what carries its owner's mark.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Makes everything ready for `job` without running its program. A container of this job that is
    /// there already is left as it is.
    ///
    /// # Errors
    /// `Invalid` for a spec that can never work; nothing is left behind after any error.
    async fn create(&self, job: JobId, spec: ContainerSpec) -> Result<(), RuntimeError>;

    /// Runs the program. One that runs or has ended is left as it is.
    ///
    /// # Errors
    /// `NotFound`, or `Failed` with the reason for which the program could not be run.
    async fn start(&self, job: JobId) -> Result<(), RuntimeError>;

    /// Sends a signal to the first process, which does with it what it would do on a machine of its own. One
    /// that has ended is left as it is.
    ///
    /// A process that handles the signal, ignores it or waits for it is the only one to get it. Where `Term`,
    /// `Int`, `Hup` or `Quit` meets none of this, the process is ended and its exit is that signal, even if the
    /// kernel shields it as the first of its namespace. Such a process ends last: all others of its container
    /// get the signal, and it is ended when none of them is left, unless it ends by itself. The call does not
    /// wait for that.
    ///
    /// # Errors
    /// `NotFound`.
    async fn signal(&self, job: JobId, signal: Signal) -> Result<(), RuntimeError>;

    /// Kills what still runs and takes everything of the job away. A job that is not there is no error.
    ///
    /// # Errors
    /// `Failed` if something could not be taken away; it is then still listed.
    async fn remove(&self, job: JobId) -> Result<(), RuntimeError>;

    /// All containers of this runtime's owner.
    ///
    /// # Errors
    /// `Failed` if the runtime's records cannot be read.
    async fn list(&self) -> Result<Vec<Container>, RuntimeError>;

    /// Wakes whenever a container may have ended. It carries nothing and may wake for nothing: `list` says
    /// what is so.
    fn exits(&self) -> Wakes;
}

/// A stream of wake-ups.
pub type Wakes = BoxStream<'static, ()>;

/// Runs further processes in containers.
#[async_trait]
pub trait Exec: Send + Sync {
    /// Runs `process` in the container of `job`, confined like its first process: same user, capabilities,
    /// limits and system call filter.
    ///
    /// # Errors
    /// `NotFound`, or `Failed` with the reason for which the program could not be run.
    async fn exec(&self, job: JobId, process: Process) -> Result<Session, RuntimeError>;

    /// Joins the terminal or pipes of the first process of `job`, which must have been created for it.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` if its input and output go to the log only.
    async fn attach(&self, job: JobId) -> Result<Session, RuntimeError>;
}

/// What a container is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// The app, for isolation between apps.
    pub app: AppId,
    /// The host name seen inside.
    pub hostname: String,
    /// The root file system, from [`Snapshots`](crate::port::Snapshots).
    pub root: Vec<Mount>,
    /// Further mounts, such as volumes.
    pub mounts: Vec<Mount>,
    /// The first process.
    pub process: Process,
    /// Limits.
    pub resources: Resources,
    /// The network namespace to join; none for a container without a network.
    pub network: Option<PathBuf>,
}

/// A program to run in a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its whole environment, opened.
    pub env: BTreeMap<String, Secret>,
    /// The working directory inside the container.
    pub directory: PathBuf,
    /// User and group ids. They are never 0 unless the image was trusted with it.
    pub user: (u32, u32),
    /// Whether it has a terminal.
    pub terminal: Terminal,
    /// Whether somebody will attach to it, so that its input stays open.
    pub interactive: bool,
}

/// A container as a runtime knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The job it belongs to.
    pub job: JobId,
    /// Where it is in its life.
    pub state: ContainerState,
}

/// The life of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Ready, its program not run.
    Created,
    /// Its program runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// Its program ended.
    Exited {
        /// How.
        exit: Exit,
        /// When.
        at: Timestamp,
    },
    /// Its supervisor died, so nobody knows its end. What was left of it has been killed.
    Lost {
        /// What happened.
        reason: String,
    },
}

/// A signal by its POSIX name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Please end.
    Term,
    /// End at once.
    Kill,
    /// The terminal's interrupt.
    Int,
    /// The terminal is gone.
    Hup,
    /// The terminal's quit.
    Quit,
    /// For the program's own use.
    Usr1,
    /// For the program's own use.
    Usr2,
}

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// A joined process: its streams, and what can be done to it. Dropping it hangs up.
pub struct Session {
    /// What the process reads.
    pub input: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it writes; with a terminal also its errors.
    pub output: Box<dyn AsyncRead + Send + Unpin>,
    /// Its errors, without a terminal.
    pub errors: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// What can be done to it.
    pub control: Box<dyn SessionControl>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("errors", &self.errors.is_some()).finish_non_exhaustive()
    }
}

/// What can be done to a joined process.
#[async_trait]
pub trait SessionControl: Send + Sync {
    /// Tells its terminal how large it is. Without a terminal nothing happens.
    ///
    /// # Errors
    /// `Failed` if the process is out of reach.
    async fn resize(&self, size: TerminalSize) -> Result<(), RuntimeError>;

    /// Sends it a signal.
    ///
    /// # Errors
    /// `Failed` if the process is out of reach.
    async fn signal(&self, signal: Signal) -> Result<(), RuntimeError>;

    /// Waits for its end. It can be called again and gives the same answer.
    ///
    /// # Errors
    /// `Failed` if nobody will ever know.
    async fn wait(&self) -> Result<Exit, RuntimeError>;
}

/// Why a runtime did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// There is no container of this job.
    #[error("{operation}: there is no container of job {job}")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// The job.
        job: JobId,
    },
    /// The request can never succeed as it is.
    #[error("{operation}: {problem}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// What is wrong with the request and what would be right.
        problem: String,
    },
    /// The node cannot do it at present, such as for want of disk space.
    #[error("{operation}: the node cannot do this at present")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// It was tried and failed.
    #[error("{operation} failed")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}
