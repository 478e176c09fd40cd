use flynn_core::BoxError;

/// Why a machine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The request can never succeed as it is.
    #[error("{operation}: {problem}")]
    Invalid {
        /// What was being done.
        operation: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The machine cannot do it, or not at present.
    #[error("{operation}: the machine cannot do this at present")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
}

pub(super) fn unavailable<E: Into<BoxError>>(operation: &'static str) -> impl FnOnce(E) -> MachineError {
    move |source| MachineError::Unavailable { operation, source: source.into() }
}
