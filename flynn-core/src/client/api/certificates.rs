//! Certificates.

use reqwest::Method;

use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{Certificate, NewCertificate, Page, PageQuery};
use crate::noun::CertificateId;

impl Api {
    /// The certificates of an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn certificates(&self, app: &str, page: &PageQuery) -> Result<Page<Certificate>, ApiError> {
        self.transport.fetch(Ask::get("list certificates", &["apps", app, "certificates"]).page(page)).await
    }

    /// Lets hosts of an app be served with a certificate, in place of the one that they had.
    ///
    /// # Errors
    /// See [`ApiError`]; `Invalid` if chain and key cannot be used, with the field and the reason.
    pub async fn add_certificate(&self, app: &str, certificate: &NewCertificate) -> Result<Certificate, ApiError> {
        let ask = Ask::new("add the certificate", Method::POST, &["apps", app, "certificates"]);
        self.transport.fetch(ask.body(certificate)?).await
    }

    /// Takes a certificate away. Its hosts are not served over TLS any more.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn remove_certificate(&self, app: &str, id: CertificateId) -> Result<(), ApiError> {
        let id = id.to_string();
        let ask = Ask::new("remove the certificate", Method::DELETE, &["apps", app, "certificates", &id]);
        self.transport.tell(ask.expecting(self.expected)).await
    }
}
