use flynn_core::{AppId, BoxError};

/// Why something could not be done with a repository, or with the service as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// A push to the app is being deployed. Try again when it is over.
    #[error("{operation}: a push to app {app} is being deployed")]
    Busy {
        /// What was being done.
        operation: &'static str,
        /// The app.
        app: AppId,
    },
    /// It is not there.
    #[error("{operation}: there is no {what}")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// What is missing.
        what: String,
    },
    /// What was asked can never be done as it is.
    #[error("{operation}: {problem}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// What is wrong, and how to set it right.
        problem: String,
    },
    /// Git or the operating system did not do it.
    #[error("{operation}: failed")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

impl GitError {
    pub(crate) fn unavailable(operation: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Unavailable { operation, source: source.into() }
    }
}
