use std::path::PathBuf;
use std::time::Duration;

use flynn_core::BoxError;
use flynn_core::port::BlobError;

use super::BaseKind;

/// Why a base image could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// A program is not installed. The operator has to install its package.
    #[error("make base image: there is no {}: `apt-get install {package}`", program.display())]
    MissingProgram {
        /// The program.
        program: PathBuf,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// What the operator set can never work.
    #[error("{operation}: {problem}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The image could not be made, such as because the mirror is out of reach.
    #[error("make the {} base image: {reason} (see {})", kind.as_str(), log.display())]
    Failed {
        /// Which image.
        kind: BaseKind,
        /// What the program said last.
        reason: String,
        /// All that it said.
        log: PathBuf,
    },
    /// It took too long.
    #[error("make the {} base image: it took more than {} s (see {})", kind.as_str(), limit.as_secs(), log.display())]
    TimedOut {
        /// Which image.
        kind: BaseKind,
        /// How long it may take.
        limit: Duration,
        /// All that the program said.
        log: PathBuf,
    },
    /// Nobody makes base images any more: the driver has ended.
    #[error("make base image: stopped")]
    Stopped,
    /// The blob store did not take or show the image.
    #[error("{operation}")]
    Blobs {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BlobError,
    },
    /// The operating system did not do it, such as for want of disk space.
    #[error("{operation}: failed")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

impl MakeError {
    pub(super) fn unavailable(operation: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Unavailable { operation, source: source.into() }
    }

    pub(super) fn blobs(operation: &'static str) -> impl FnOnce(BlobError) -> Self {
        move |source| Self::Blobs { operation, source }
    }
}
