use std::sync::Arc;

use super::CertificateTable;
use crate::table::Host;

/// What a request carries that came over TLS.
#[derive(Debug, Clone)]
pub(crate) struct Secured(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The host that the client named in the handshake.
    named: Host,
    table: Arc<CertificateTable>,
}

impl Secured {
    pub(super) fn new(named: Host, table: Arc<CertificateTable>) -> Self {
        Self(Arc::new(Inner { named, table }))
    }

    /// Whether the connection is one for this host: a client may ask for another one than it named only if both have
    /// the same certificate (RFC 9113 §9.1.1), lest requests pass for those of another host.
    pub(crate) fn is_for(&self, host: &Host) -> bool {
        self.0.named == *host || self.0.table.is_shared(&self.0.named, host)
    }
}
