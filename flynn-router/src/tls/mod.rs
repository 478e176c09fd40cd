//! TLS in front of the proxy: which certificate a client is shown, and how many may be shaking hands.
//!
//! [`CertificateTable`] holds certificates by host and is changed while clients connect: a connection keeps what it
//! was made with, the next handshake sees the change. [`Tls`] turns accepted connections into encrypted ones for
//! [`Proxy::serve_tls`](crate::proxy::Proxy::serve_tls). [`CertificateFollower`] keeps a table equal to what the store
//! says.
//!
//! Clients have to name a host (SNI) that there is a certificate for; others are refused in the handshake. TLS 1.2 and
//! 1.3 are spoken, with HTTP/2 and HTTP/1.1 over them (ALPN). Sessions are resumed by tickets, whose keys live in
//! memory, change every six hours and open tickets for twelve. There is no early data, so that no request can be
//! replayed. Cryptography is *ring*'s; no provider is installed for the process.
//!
//! Not here: OCSP, certificates of clients, and ACME.

mod accept;
mod file;
mod follow;
mod keys;
mod secured;
mod served;
mod table;

pub(crate) use accept::{Accepted, Protocol};
pub use accept::{Tls, TlsError, TlsSettings};
pub use file::{CertificateFile, CertificateFileError};
pub use follow::CertificateFollower;
pub use keys::{CertificateKeys, KeyError};
pub(crate) use secured::Secured;
pub use served::ServedCertificate;
pub use table::CertificateTable;
