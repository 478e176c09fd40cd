use std::fmt;
use std::sync::Arc;

use super::call::{Caller, unreadable};
use super::{Credential, Endpoint, RemoteOptions};
use crate::error::StoreError;
use crate::noun::CertificateId;
use crate::port::Secret;
use crate::wire::peer::{OpenedKey, decode};

/// Opens the private keys of certificates, as a router.
#[derive(Clone)]
pub struct CertificateKeys {
    caller: Arc<Caller>,
}

impl fmt::Debug for CertificateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateKeys").field("endpoint", &self.caller.endpoint).finish_non_exhaustive()
    }
}

impl CertificateKeys {
    /// Asks the server at `endpoint`. Nothing is sent yet, so the server need not be there.
    ///
    /// # Errors
    /// The system's part of an HTTP client cannot be made.
    pub fn connect(endpoint: Endpoint, credential: Credential, options: RemoteOptions) -> Result<Self, StoreError> {
        Caller::new(endpoint, credential, options).map(|caller| Self { caller: Arc::new(caller) })
    }

    /// The private key of the certificate `id`, in PEM.
    ///
    /// # Errors
    /// `NotFound` if there is no such certificate or it has no key yet, `NotAllowed` to all but routers, `Internal` if
    /// the server's keys do not open it, `Unavailable`.
    pub async fn open(&self, id: CertificateId) -> Result<Secret, StoreError> {
        const OPEN: &str = "open the private key";
        let answer = self.caller.get(OPEN, &format!("certificates/{id}/key")).await?;
        let OpenedKey { key } = decode("key", &answer).map_err(unreadable(OPEN))?;
        Ok(key)
    }
}
