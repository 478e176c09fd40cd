use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::BoxError;
use crate::name::EnvKey;
use crate::noun::{JobId, NodeId, Terminal};
use crate::port::{LogQuery, TerminalSize};

/// A way to a node, for what does not go through the store: terminals and logs.
///
/// Agents dial out and keep the way open; in one process it is a pair of pipes. What goes over the bytes are the
/// frames of [`link`](crate::link).
#[async_trait]
pub trait NodeLink: Send + Sync {
    /// Opens an authenticated byte stream to what `request` names on `node`. Dropping it hangs up.
    ///
    /// # Errors
    /// `Unreachable` if the node has no way open; what the node's [`LinkHandler`] answers otherwise.
    async fn open(&self, node: NodeId, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError>;
}

/// The node's side of a [`NodeLink`].
#[async_trait]
pub trait LinkHandler: Send + Sync {
    /// Opens the byte stream to what `request` names on this node. Whoever opened it has hung up when it reads
    /// the end and can no longer be written to; what was opened for it then ends.
    ///
    /// # Errors
    /// `NotFound` if this node does not have the job, `Refused` if what is asked makes no sense for it.
    async fn open(&self, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError>;
}

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What is wanted of a node.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LinkRequest {
    /// Join the first process of a job.
    Attach(JobId),
    /// Run a further process beside a job.
    Exec(JobId, ExecRequest),
    /// Read logs.
    Logs(LogQuery),
}

/// A process to run beside a job. User, directory and the job's own environment are for its node to fill in.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    pub terminal: Terminal,
    /// What is added to the job's environment.
    pub env: BTreeMap<EnvKey, String>,
    /// How large the terminal is at first, if that is known.
    pub size: Option<TerminalSize>,
}

/// Values of variables may be secret, so only their names are shown.
impl fmt::Debug for ExecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        let Self { command, terminal, size, .. } = self;
        f.debug_struct("ExecRequest")
            .field("command", command)
            .field("terminal", terminal)
            .field("env", &env)
            .field("size", size)
            .finish()
    }
}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The node has no way open.
    #[error("open link: node {0} is not connected")]
    Unreachable(NodeId),
    /// The node does not have this job.
    #[error("open link: job {0} is not on this node")]
    NotFound(JobId),
    /// The node does not do this.
    #[error("open link: {problem}")]
    Refused {
        /// What is wrong with the request, and what would be right.
        problem: String,
    },
    /// The node cannot do this at present.
    #[error("open link: the node cannot do this at present: {problem}")]
    Unavailable {
        /// What happened.
        problem: String,
    },
    /// The way broke.
    #[error("open link: the connection to the node broke")]
    Broken(#[source] BoxError),
}
