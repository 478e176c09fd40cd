use async_trait::async_trait;
use flynn_core::StoreError;
use flynn_core::client::CertificateKeys;
use flynn_core::noun::CertificateId;
use flynn_core::port::Secret;
use flynn_router::tls::KeyError;

/// Private keys as the control plane opens them.
#[derive(Debug)]
pub(crate) struct FromControl(pub(crate) CertificateKeys);

#[async_trait]
impl flynn_router::tls::CertificateKeys for FromControl {
    async fn open(&self, id: CertificateId) -> Result<Secret, KeyError> {
        self.0.open(id).await.map_err(|error| match error {
            error @ (StoreError::NotFound { .. } | StoreError::NotAllowed { .. } | StoreError::Internal { .. }) => {
                KeyError::Refused { reason: format!("{:#}", anyhow::Error::from(error)) }
            }
            error => KeyError::Unavailable(error.into()),
        })
    }
}
