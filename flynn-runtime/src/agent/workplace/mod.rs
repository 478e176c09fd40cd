//! What a job needs around it before it can run.

mod containers;
mod environment;
mod mount_record;
mod plain;

use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::disk::{DiskUse, Space};
use flynn_core::name::EnvKey;
use flynn_core::noun::{Job, Stored};
use flynn_core::port::{ContainerSpec, ExecRequest, Process, Secret};
use flynn_core::{BoxError, JobId};

pub(crate) use containers::privileges;
pub use containers::{ContainerWorkplace, ContainerWorkplaceOptions, ContainerWorkplaceParts};
pub use plain::PlainWorkplace;

use super::pass::Kept;

/// Gets ready what the containers of a node's jobs are made from. Every method can be repeated, and dropped
/// at any time: the next `prepare` or `release` of the job goes on from what there is.
#[async_trait]
pub trait Workplace: Send + Sync {
    /// Gets everything ready that a job needs: its environment, its files, its address. What is there already
    /// is kept.
    ///
    /// # Errors
    /// `Refused` if it can never work, `Unavailable` if it may work later. What was made for the job by then is
    /// still listed.
    async fn prepare(&self, job: &Stored<Job>) -> Result<ContainerSpec, WorkplaceError>;

    /// Describes a further process of a job that was prepared: same user, directory and environment.
    ///
    /// # Errors
    /// As for `prepare`.
    async fn process(&self, job: &Stored<Job>, request: &ExecRequest) -> Result<Process, WorkplaceError>;

    /// Takes away all that is kept for a job, whose container is gone. A job that it has nothing for is no error.
    ///
    /// # Errors
    /// `Unavailable`; the job is then still listed.
    async fn release(&self, job: JobId) -> Result<(), WorkplaceError>;

    /// What a job has written that counts against its disk limit; none if that is not known here, or nothing is there.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be measured.
    async fn written(&self, _job: JobId) -> Result<Option<DiskUse>, WorkplaceError> {
        Ok(None)
    }

    /// What is left of the disk that jobs write to; none if that is not known here.
    ///
    /// # Errors
    /// `Unavailable` if it cannot be looked at.
    async fn space(&self) -> Result<Option<Space>, WorkplaceError> {
        Ok(None)
    }

    /// All jobs that it keeps something for.
    ///
    /// # Errors
    /// `Unavailable` if its records cannot be read.
    async fn list(&self) -> Result<BTreeMap<JobId, Kept>, WorkplaceError>;
}

/// Why there is no place for a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkplaceError {
    /// It can never work.
    #[error("{reason}")]
    Refused {
        /// Why not, and what would be right, in words for the app's developer.
        reason: String,
    },
    /// It cannot be done at present.
    #[error("{what}")]
    Unavailable {
        /// What cannot be done, in words for the app's developer.
        what: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

impl WorkplaceError {
    pub(crate) fn unavailable(what: impl Into<String>) -> impl FnOnce(BoxError) -> Self {
        move |source| Self::Unavailable { what: what.into(), source }
    }
}

/// Opens the environments of this node's jobs.
#[async_trait]
pub trait Environments: Send + Sync {
    /// The environment of a job, opened.
    ///
    /// # Errors
    /// `Refused` if this node may never read it, `Unavailable` if it cannot be read at present.
    async fn open(&self, job: JobId) -> Result<BTreeMap<EnvKey, Secret>, EnvironmentError>;
}

/// Why the environment of a job cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// It never can.
    #[error("open environment: {reason}")]
    Refused {
        /// Why not.
        reason: String,
    },
    /// It cannot at present.
    #[error("open environment: it is out of reach at present")]
    Unavailable(#[source] BoxError),
}

impl From<EnvironmentError> for WorkplaceError {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Refused { reason } => {
                Self::Refused { reason: format!("its configuration cannot be opened: {reason}") }
            }
            EnvironmentError::Unavailable(source) => {
                Self::Unavailable { what: "its configuration is out of reach".to_owned(), source }
            }
        }
    }
}
