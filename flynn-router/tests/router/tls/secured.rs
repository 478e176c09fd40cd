//! A proxy on loopback that serves TLS beside its plain listener, and those who ask it.

use std::net::SocketAddr;
use std::sync::Arc;

use flynn_core::name::HostPattern;
use flynn_router::proxy::{Drained, ProxySettings};
use flynn_router::tls::{CertificateTable, ServedCertificate, Tls, TlsSettings};
use http_body_util::{BodyExt, Empty, combinators::BoxBody};
use hyper::body::Bytes;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::Authority;
use crate::rig::{Client, Rig, soon};

pub(crate) struct Secured {
    pub(crate) rig: Rig,
    pub(crate) authority: Authority,
    pub(crate) table: Arc<CertificateTable>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
}

pub(crate) fn tls_settings(change: impl FnOnce(&mut TlsSettings)) -> TlsSettings {
    let mut settings = TlsSettings::default();
    change(&mut settings);
    settings
}

impl Secured {
    /// A proxy whose host `a.example` leads to `instances` and has a certificate.
    pub(crate) async fn to(instances: &[SocketAddr]) -> Self {
        Self::with(instances, crate::rig::settings(|_| {}), TlsSettings::default()).await
    }

    pub(crate) async fn with(instances: &[SocketAddr], settings: ProxySettings, tls: TlsSettings) -> Self {
        let rig = Rig::to_with(instances, settings).await;
        let (authority, table) = (Authority::new(), Arc::new(CertificateTable::new()));
        let tls = Tls::new(table.clone(), tls).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let proxy = rig.proxy();
        let served = tokio::spawn(async move { proxy.serve_tls(&tls, listener, async { drop(stopped.await) }).await });
        let secured = Self { rig, authority, table, address, stop: Some(stop), served };
        secured.serve(&["a.example"]);
        secured
    }

    /// Serves hosts with one fresh certificate.
    pub(crate) fn serve(&self, hosts: &[&str]) -> ServedCertificate {
        let certificate = self.authority.certificate(hosts);
        self.table.apply(hosts.iter().map(|host| (HostPattern::new(host).unwrap(), Some(certificate.clone()))));
        certificate
    }

    pub(crate) fn forget(&self, host: &str) {
        self.table.apply([(HostPattern::new(host).unwrap(), None)]);
    }

    pub(crate) async fn connect(
        &self,
        config: &Arc<ClientConfig>,
        host: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.address, config, host).await
    }

    /// An answer over HTTP/1.1, on a connection of its own.
    pub(crate) async fn get(&self, host: &str, request: &str) -> String {
        let config = Arc::new(self.authority.client(&["http/1.1"]));
        let stream = self.connect(&config, host).await.unwrap();
        ask(stream, request).await
    }

    pub(crate) async fn h2(&self, host: &str) -> H2 {
        let config = Arc::new(self.authority.client(&["h2"]));
        H2::over(self.connect(&config, host).await.unwrap()).await
    }

    pub(crate) fn begin_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub(crate) async fn stopped(self) -> Drained {
        let drained = soon(self.served).await.unwrap();
        self.rig.end().await;
        drained
    }

    /// Stops the proxy; nobody may have to be cut off.
    pub(crate) async fn end(mut self) {
        self.begin_stop();
        assert_eq!(self.stopped().await, Drained { cut: 0 });
    }
}

pub(crate) async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    host: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = soon(TcpStream::connect(address)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    soon(TlsConnector::from(config.clone()).connect(name, stream)).await
}

/// One exchange, which the request says to be the last.
pub(crate) async fn ask(mut stream: TlsStream<TcpStream>, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut answer = Vec::new();
    soon(stream.write_all(request.as_bytes())).await.unwrap();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// A client of HTTP/2 that keeps to the rules.
pub(crate) struct H2 {
    pub(crate) sender: SendRequest<BoxBody<Bytes, hyper::Error>>,
    driver: JoinHandle<()>,
}

impl Drop for H2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl H2 {
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> Self {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = soon(handshake).await.unwrap();
        Self { sender, driver: tokio::spawn(async move { drop(connection.await) }) }
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<BoxBody<Bytes, hyper::Error>>,
    ) -> Response<hyper::body::Incoming> {
        soon(self.sender.ready()).await.unwrap();
        soon(self.sender.send_request(request)).await.unwrap()
    }

    /// The status and the text of an answer.
    pub(crate) async fn get(&mut self, uri: &str) -> (u16, String) {
        let request = Request::get(uri).body(empty()).unwrap();
        read(self.send(request).await).await
    }
}

pub(crate) fn empty() -> BoxBody<Bytes, hyper::Error> {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) async fn read(answer: Response<hyper::body::Incoming>) -> (u16, String) {
    let (head, body) = answer.into_parts();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

/// A client that connects and says nothing.
pub(crate) async fn silent(address: SocketAddr) -> Client {
    Client::connect(address).await
}
