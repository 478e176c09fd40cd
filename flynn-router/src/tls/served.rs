use std::fmt;
use std::sync::Arc;

use flynn_core::port::Secret;
use flynn_core::x509::{CertificateError, CertificateFacts};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A certificate with its private key, ready to be served. Cloning shares it.
#[derive(Clone)]
pub struct ServedCertificate {
    pub(super) key: Arc<CertifiedKey>,
    facts: Arc<CertificateFacts>,
}

impl ServedCertificate {
    /// Reads a chain and a private key, both in PEM.
    ///
    /// # Errors
    /// See [`CertificateFacts::of_pair`].
    pub fn from_pem(chain: &str, key: &Secret) -> Result<Self, CertificateError> {
        let facts = CertificateFacts::of_pair(chain, key.expose())?;
        let unusable = |problem: &dyn fmt::Display| CertificateError::Key { problem: problem.to_string() };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let certificates = certificates.map_err(|_| unusable(&"the chain cannot be read"))?;
        let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| unusable(&"it cannot be read"))?;
        let key =
            CertifiedKey::from_der(certificates, key, &ring::default_provider()).map_err(|error| unusable(&error))?;
        Ok(Self { key: Arc::new(key), facts: Arc::new(facts) })
    }

    /// What the certificate says.
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }
}

impl fmt::Debug for ServedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedCertificate").field("facts", &self.facts).finish_non_exhaustive()
    }
}
