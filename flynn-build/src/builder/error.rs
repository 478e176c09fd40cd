use std::time::Duration;

use flynn_core::BoxError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The source cannot be built as it is. Its author has to change something.
    #[error("{step}: {reason}")]
    Failed {
        /// The step that failed, such as `install dependencies`.
        step: String,
        /// What went wrong, and what to do where that is not plain.
        reason: String,
    },
    /// It took too long.
    #[error("{step}: the build took longer than {} s", limit.as_secs())]
    TimedOut {
        /// The step that was under way.
        step: String,
        /// How long it may take.
        limit: Duration,
    },
    /// The node cannot build at present. The same build may succeed later.
    #[error("{step}: the node cannot do this at present")]
    Unavailable {
        /// The step that was under way.
        step: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

impl BuildError {
    /// The step that failed or was under way.
    pub fn step(&self) -> &str {
        match self {
            Self::Failed { step, .. } | Self::TimedOut { step, .. } | Self::Unavailable { step, .. } => step,
        }
    }

    /// Something is wrong with the source.
    pub fn failed(step: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Failed { step: step.into(), reason: reason.into() }
    }

    /// Something is wrong with the node.
    pub fn unavailable(step: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Unavailable { step: step.into(), source: source.into() }
    }
}
