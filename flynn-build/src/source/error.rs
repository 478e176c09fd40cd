use std::io;

use flynn_core::BoxError;
use flynn_core::port::BlobError;

use super::path::printable;

/// Why a source tree could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Something in the tree is not acceptable. Its author has to change it.
    #[error("`{path}` is refused: {problem}")]
    Invalid {
        /// The path as it was given, without control characters.
        path: String,
        /// What is wrong with it, and what to do where that is not plain.
        problem: String,
    },
    /// It is larger than the limits. Its author has to leave something out, or the operator has to raise a limit.
    #[error("too large: {what}")]
    TooLarge {
        /// What is more than which limit.
        what: String,
    },
    /// The bytes are not what they should be: cut short, damaged or of another format. Send them again.
    #[error("the archive cannot be read: {problem}")]
    Damaged {
        /// What is wrong.
        problem: String,
    },
    /// What was asked for is not there.
    #[error("{operation}: there is no {what}")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// What is missing.
        what: String,
    },
    /// It cannot be done at present.
    #[error("{operation}: unavailable")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The blob store did not take the tree.
    #[error("store source")]
    Blobs(#[source] BlobError),
}

impl SourceError {
    pub(crate) fn invalid(path: &str, problem: impl Into<String>) -> Self {
        Self::Invalid { path: printable(path), problem: problem.into() }
    }

    pub(crate) fn damaged(problem: impl Into<String>) -> Self {
        Self::Damaged { problem: problem.into() }
    }

    /// What a failed read means: a limit of the reader beneath, a damaged archive, or a broken stream.
    pub(crate) fn reading(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => Self::damaged("it ends in the middle"),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::damaged(error.to_string()),
                _ => Self::unavailable("read archive", error),
            },
        }
    }

    pub(crate) fn unavailable(operation: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Unavailable { operation, source: source.into() }
    }
}
