use std::fmt;

use uuid::Uuid;

use crate::error::BoxError;
use crate::value::{KeyId, Sealed};

/// Seals secrets for storage and opens them again.
///
/// Each value is bound to the id of the object it belongs to: moved to another object it cannot be opened.
/// Sealing the same value twice gives two different results.
pub trait KeyRing: Send + Sync {
    /// Seals `plain` for the object with the id `context`, with the newest key.
    ///
    /// # Errors
    /// `Unusable`, such as when there is no randomness.
    fn seal(&self, context: Uuid, plain: &[u8]) -> Result<Sealed, KeyRingError>;

    /// Opens what was sealed for the object with the id `context`.
    ///
    /// # Errors
    /// `UnknownKey`, or `Forged` if value and context do not belong together.
    fn open(&self, context: Uuid, sealed: &Sealed) -> Result<Secret, KeyRingError>;
}

/// An opened secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps bytes that must not be shown.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// The key that sealed it is not on the ring.
    #[error("open: the key `{}` is not on the key ring", .0.0)]
    UnknownKey(KeyId),
    /// The value was changed, or belongs to another object.
    #[error("open: the value was changed or belongs to another object")]
    Forged,
    /// The ring itself is missing or damaged.
    #[error("{operation}: {problem}")]
    Unusable {
        /// What was being done.
        operation: &'static str,
        /// What is wrong and what to do.
        problem: String,
        /// What happened.
        #[source]
        source: Option<BoxError>,
    },
}
