use std::io;
use std::path::{Path, PathBuf};

use flynn_core::port::ImageError;

/// Why a layer could not be read, written or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    /// It can never be a layer.
    #[error("the layer is damaged: {0}")]
    Damaged(String),
    /// One of its entries cannot be in a layer.
    #[error("the entry {entry}: {problem}")]
    Entry {
        /// Its path, printable.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It is larger than is allowed.
    #[error("the layer is too large: {0}")]
    TooLarge(String),
    /// The stream that it comes from or goes to failed.
    #[error("the stream of the layer failed")]
    Stream(#[source] io::Error),
    /// A file of the node could not be read or written.
    #[error("{}", .place.display())]
    Disk {
        /// Where.
        place: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

impl LayerError {
    pub(crate) fn damaged(problem: impl Into<String>) -> Self {
        Self::Damaged(problem.into())
    }

    pub(crate) fn entry(path: &[u8], problem: impl Into<String>) -> Self {
        Self::Entry { entry: path.escape_ascii().to_string(), problem: problem.into() }
    }

    /// A failed read of the stream; its end in the wrong place is the layer's own fault.
    pub(crate) fn reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::damaged("it ends too early"),
            io::ErrorKind::InvalidInput => Self::damaged(format!("its compression: {error}")),
            io::ErrorKind::FileTooLarge => Self::TooLarge(error.to_string()),
            _ => Self::Stream(error),
        }
    }

    pub(crate) fn disk(place: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { place: place.as_ref().to_owned(), source }
    }

    pub(crate) fn told(self, operation: &'static str) -> ImageError {
        match self {
            Self::Damaged(_) | Self::Entry { .. } | Self::TooLarge(_) => {
                ImageError::Invalid { operation, problem: self.to_string() }
            }
            Self::Stream(source) => ImageError::Unavailable { operation, source: source.into() },
            Self::Disk { .. } => ImageError::Unavailable { operation, source: self.into() },
        }
    }
}
