use flynn_core::port::BlobError;

use crate::source::SourceError;

/// Why there is no image in a layout.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// It cannot be taken in.
    #[error("read the image layout")]
    Unreadable(#[source] SourceError),
    /// What it says is wrong or goes beyond a limit. Its maker has to change something.
    #[error("the image layout is refused: {problem}")]
    Invalid {
        /// What is wrong, and what to do where that is not plain.
        problem: String,
    },
    /// What was asked for is not in it.
    #[error("the image layout has no {what}")]
    NotFound {
        /// What is missing, and what there is instead.
        what: String,
    },
    /// No image in it is for this machine.
    #[error("the image is for {found}, and this machine is {machine}")]
    OtherMachine {
        /// What it is for.
        found: String,
        /// What this machine is.
        machine: String,
    },
    /// The blob store did not take it.
    #[error("store the image")]
    Blobs(#[source] BlobError),
}

impl LayoutError {
    pub(super) fn invalid(problem: impl Into<String>) -> Self {
        Self::Invalid { problem: problem.into() }
    }
}
