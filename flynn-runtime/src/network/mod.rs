//! The network of jobs: an address and a namespace each.

mod addresses;
mod bridge;
mod builds;
mod egress;
mod records;
mod rules;
mod tools;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use async_trait::async_trait;
use flynn_core::{AppId, BoxError, JobId};

pub use addresses::Subnet;
pub use bridge::{BridgeNetwork, BridgeOptions};
pub use egress::{Destination, Egress};

/// Gives jobs a network. Every method can be repeated.
#[async_trait]
pub trait Network: Send + Sync {
    /// Gives a job an address and a network namespace. One that has them keeps them.
    ///
    /// # Errors
    /// `Exhausted` if no address is free; nothing is left behind after any error.
    async fn attach(&self, job: JobId, app: AppId) -> Result<Attachment, NetworkError>;

    /// Takes them away. The address is not given to another job before the time of quarantine has passed. A
    /// job without a network is no error.
    ///
    /// # Errors
    /// `Failed`; the job is then still listed.
    async fn detach(&self, job: JobId) -> Result<(), NetworkError>;

    /// All jobs that have a network.
    ///
    /// # Errors
    /// `Failed` if the records cannot be read.
    async fn list(&self) -> Result<Vec<Attachment>, NetworkError>;
}

/// The network of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The job.
    pub job: JobId,
    /// Its app; jobs of one app reach each other.
    pub app: AppId,
    /// Its address, which the node reaches.
    pub address: Ipv4Addr,
    /// The namespace to join.
    pub namespace: PathBuf,
}

/// Why a job did not get its network, or did not lose it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// All addresses are in use or in quarantine.
    #[error("{operation}: no address is free in {subnet}")]
    Exhausted {
        /// What was being done.
        operation: &'static str,
        /// Where addresses come from.
        subnet: Subnet,
    },
    /// The request can never succeed as it is.
    #[error("{operation}: {problem}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// What is wrong with it.
        problem: String,
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
