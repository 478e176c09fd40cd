use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{fmt, io};

use flynn_core::BoxError;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{CertificateTable, Secured};
use crate::table::Host;

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";
/// How long a client may keep the router waiting in its handshake while others wait for theirs.
const HURRIED: Duration = Duration::from_secs(1);

/// The limits of handshakes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The time a client has for its handshake, from when it connected.
    pub handshake_time: Duration,
    /// The most handshakes under way. Further clients wait, within their time; as long as some do, each handshake has a
    /// second. A client that has not sent its first message is not among them.
    pub handshakes: usize,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { handshake_time: Duration::from_secs(10), handshakes: 256, http2: true }
    }
}

/// TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The operating system gives no randomness, or the like.
    #[error("prepare TLS")]
    Unavailable(#[source] BoxError),
}

/// Makes encrypted connections of accepted ones. Cloning shares its limits and the keys of its tickets.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    table: Arc<CertificateTable>,
    handshake_time: Duration,
    places: Arc<Places>,
}

/// The places for handshakes.
struct Places {
    free: Semaphore,
    /// How many clients wait for one.
    waiting: AtomicUsize,
}

/// An encrypted connection, what it is for and what is spoken on it.
pub(crate) struct Accepted {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) secured: Secured,
    pub(crate) protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Tls {
    /// TLS with the certificates of `table`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn new(table: Arc<CertificateTable>, settings: TlsSettings) -> Result<Self, TlsError> {
        let unavailable = |error: rustls::Error| TlsError::Unavailable(error.into());
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .map_err(unavailable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(table.clone())));
        config.ticketer = ring::Ticketer::new().map_err(unavailable)?;
        // The tickets of TLS 1.2 are of the same keys; a memory of sessions beside them would only be another bound.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        let offered = [HTTP_2, HTTP_1].into_iter().filter(|protocol| settings.http2 || *protocol != HTTP_2);
        config.alpn_protocols = offered.map(<[u8]>::to_vec).collect();
        let free = Semaphore::new(settings.handshakes.clamp(1, Semaphore::MAX_PERMITS));
        let places = Arc::new(Places { free, waiting: AtomicUsize::new(0) });
        Ok(Self { config: Arc::new(config), table, handshake_time: settings.handshake_time, places })
    }

    /// Shakes hands with a client.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Accepted> {
        timeout(self.handshake_time, self.shake_hands(stream)).await.map_err(|_| late())?
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Accepted> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let place = self.places.take().await.map_err(io::Error::other)?;
        let mut shaking = pin!(hello.into_stream(self.config.clone()));
        let stream = loop {
            match timeout(HURRIED, &mut shaking).await {
                Ok(shaken) => break shaken?,
                Err(_) if self.places.waiting.load(Ordering::Relaxed) > 0 => return Err(late()),
                Err(_) => {}
            }
        };
        drop(place);
        let (_, connection) = stream.get_ref();
        let protocol = match connection.alpn_protocol() {
            Some(HTTP_2) => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let named = connection.server_name().and_then(Host::parse);
        let named = named.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the client named no host"))?;
        let secured = Secured::new(named, self.table.clone());
        Ok(Accepted { stream, secured, protocol })
    }
}

impl Places {
    async fn take(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        if let Ok(place) = self.free.try_acquire() {
            return Ok(place);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        self.free.acquire().await
    }
}

/// One that waits, until this is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client did not complete its handshake in time")
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("table", &self.table).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Resolver(Arc<CertificateTable>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = Host::parse(hello.server_name()?)?;
        self.0.find(&host).map(|certificate| certificate.key)
    }
}
