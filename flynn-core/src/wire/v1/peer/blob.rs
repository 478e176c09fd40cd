use serde::{Deserialize, Serialize};

use super::super::form::{self, forms};
use crate::port::{Blob, BlobError};
use crate::time::Timestamp;
use crate::value::Digest;

/// The answer to whether a blob is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) blob: Option<Blob>,
}

/// Blobs are read in pieces: the length of each as four bytes, the highest first, and then the piece. So a
/// reader knows a blob that is whole from one whose way broke, and from one that its store found damaged.
#[cfg(feature = "client")]
pub(crate) const LONGEST_PIECE: usize = 1 << 20;
/// In place of a length: that was all.
pub(crate) const NO_MORE: u32 = 0;
/// In place of a length: the rest is not what the digest says.
pub(crate) const DAMAGED: u32 = u32::MAX;

/// A refusal that a store of blobs would give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobRefusal {
    NotFound { digest: Digest },
    Corrupt { expected: Digest, actual: Digest },
}

impl BlobRefusal {
    /// What of `error` the other end cannot tell from a problem's class and text.
    #[cfg(any(feature = "server", test))]
    pub(crate) fn of(error: &BlobError) -> Option<Self> {
        match *error {
            BlobError::NotFound { digest, .. } => Some(Self::NotFound { digest }),
            BlobError::Corrupt { expected, actual, .. } => Some(Self::Corrupt { expected, actual }),
            BlobError::Unavailable { .. } => None,
        }
    }

    #[cfg(any(feature = "client", test))]
    pub(crate) fn into_error(self, operation: &'static str) -> BlobError {
        match self {
            Self::NotFound { digest } => BlobError::NotFound { operation, digest },
            Self::Corrupt { expected, actual } => BlobError::Corrupt { operation, expected, actual },
        }
    }
}

forms! {
    mirror Blob => BlobForm,
    mirror Found => FoundForm,
    mirror BlobRefusal => BlobRefusalForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Blob")]
struct BlobForm {
    digest: Digest,
    bytes: u64,
    put_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Found")]
struct FoundForm {
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    blob: Option<Blob>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BlobRefusal", tag = "type", rename_all = "snake_case")]
enum BlobRefusalForm {
    NotFound { digest: Digest },
    Corrupt { expected: Digest, actual: Digest },
}
