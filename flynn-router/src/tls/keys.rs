use async_trait::async_trait;
use flynn_core::BoxError;
use flynn_core::noun::CertificateId;
use flynn_core::port::Secret;

/// Opens the private keys of certificates, which the store has sealed.
#[async_trait]
pub trait CertificateKeys: Send + Sync + std::fmt::Debug {
    /// The private key of the certificate `id`, in PEM.
    ///
    /// # Errors
    /// `Refused` if it makes no sense to ask again soon, `Unavailable` if it does.
    async fn open(&self, id: CertificateId) -> Result<Secret, KeyError>;
}

/// Why a private key could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is not there, or not for this router.
    #[error("open the private key: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// Whoever opens keys does not answer at present.
    #[error("open the private key: not available")]
    Unavailable(#[source] BoxError),
}
