use std::fmt;

use crate::error::BoxError;
use crate::noun::{AddonId, AppId, ProviderId};
use crate::value::{KeyId, Sealed};

/// Seals secrets for storage and opens them again.
///
/// Each value is bound to what it is for and to the object it belongs to: moved to another object, or to
/// another place in the same one, it cannot be opened.
/// Sealing the same value twice gives two different results.
pub trait KeyRing: Send + Sync {
    /// Seals `plain` for this use, with the newest key.
    ///
    /// # Errors
    /// `Unusable`, such as when there is no randomness.
    fn seal(&self, purpose: SealedFor, plain: &[u8]) -> Result<Sealed, KeyRingError>;

    /// Opens what was sealed for this use.
    ///
    /// # Errors
    /// `UnknownKey`, or `Forged` if the value was not sealed for this use.
    fn open(&self, purpose: SealedFor, sealed: &Sealed) -> Result<Secret, KeyRingError>;
}

/// What a sealed value is for. People choose ids and move sealed values about, so neither alone may be
/// enough to have a value opened somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SealedFor {
    /// A variable in the environment of an app and its releases and jobs.
    Env(AppId),
    /// The private key of a certificate of an app.
    CertificateKey(AppId),
    /// The address of a log drain of an app.
    DrainUrl(AppId),
    /// What a provider of add-ons is asked with.
    ProviderCredential(ProviderId),
    /// A variable that an add-on gives to the apps it is attached to.
    AddonEnv(AddonId),
}

impl SealedFor {
    /// Bytes that no other use has: a word, a colon, and the 16 bytes of the id.
    pub fn associated_data(&self) -> Vec<u8> {
        let (word, uuid) = match self {
            Self::Env(app) => ("env", app.uuid()),
            Self::CertificateKey(app) => ("certificate-key", app.uuid()),
            Self::DrainUrl(app) => ("drain-url", app.uuid()),
            Self::ProviderCredential(provider) => ("provider-credential", provider.uuid()),
            Self::AddonEnv(addon) => ("addon-env", addon.uuid()),
        };
        [word.as_bytes(), b":", uuid.as_bytes()].concat()
    }
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
    /// The value was changed, or was sealed for something else.
    #[error("open: the value was changed or is for something else")]
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
