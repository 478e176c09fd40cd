use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::BoxError;
use crate::noun::{JobId, NodeId};
use crate::port::{LogQuery, Process};

/// A way to a node, for what does not go through the store: terminals and logs.
///
/// Agents dial out and keep the way open; in one process it is a pair of pipes.
#[async_trait]
pub trait NodeLink: Send + Sync {
    /// Opens an authenticated byte stream to what `request` names on `node`. Dropping it hangs up.
    ///
    /// # Errors
    /// `Unreachable` if the node has no way open, `NotFound` if it does not have the job.
    async fn open(&self, node: NodeId, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError>;
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
    Exec(JobId, Process),
    /// Read logs.
    Logs(LogQuery),
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
    /// The way broke.
    #[error("open link: the connection to the node broke")]
    Broken(#[source] BoxError),
}
