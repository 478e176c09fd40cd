//! An app over TLS, with a certificate that its owner brought.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flynn_rig::{Rig, eventually};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_rustls::TlsConnector;

use crate::apps::plain;

const PATIENCE: Duration = Duration::from_secs(30);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// Writes a fresh certificate for `host` to `chain.pem` and its key to `key.pem`.
    fn issue(&self, folder: &Path, host: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("chain.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // Each connection is a whole handshake.
        config.resumption = rustls::client::Resumption::disabled();
        Arc::new(config)
    }
}

/// What the app says over a connection of its own, and the certificate that it was shown.
fn fetch(rig: &Rig, client: &Arc<ClientConfig>) -> io::Result<(String, CertificateDer<'static>)> {
    let name = ServerName::try_from("safe.localhost").unwrap();
    let connection = ClientConnection::new(client.clone(), name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(rig.secure_router())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: safe.localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let shown = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok((answer, shown)),
        false => Err(io::Error::other(answer)),
    }
}

/// What the app says over HTTP/2.
fn fetch_h2(rig: &Rig, client: &Arc<ClientConfig>) -> String {
    let mut client = ClientConfig::clone(client);
    client.alpn_protocols = vec![b"h2".to_vec()];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(rig.secure_router()).await.unwrap();
        let name = ServerName::try_from("safe.localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = hyper::Request::get("https://safe.localhost/").body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        driver.abort();
        String::from_utf8(body.to_vec()).unwrap()
    });
    runtime.shutdown_timeout(PATIENCE);
    answer
}

#[test]
fn an_app_is_served_with_the_certificate_that_it_was_given() {
    let rig = Rig::start();
    let checkout = rig.create("safe");
    plain(&checkout, "sealed");
    checkout.commit("server");
    checkout.push().expect("the push");
    let folder = rig.home();
    let authority = Authority::new();
    let client = authority.client();
    assert!(fetch(&rig, &client).is_err(), "there is no certificate yet");

    let first = authority.issue(&folder, "safe.localhost");
    let certs = |args: &[&str]| rig.flynn_at(&folder, &[&["certs"], args, &["--app", "safe"]].concat());
    let added = certs(&["add", "chain.pem", "key.pem"]);
    assert!(
        added.expect("flynn certs add").starts_with("safe.localhost of safe can be served over TLS until "),
        "{added:?}"
    );
    eventually("the app answers over TLS", PATIENCE, || match fetch(&rig, &client) {
        Ok((answer, shown)) if shown == first && answer.contains("sealed web.1") => Ok(()),
        other => Err(other),
    });
    assert!(fetch_h2(&rig, &client).contains("sealed web.1"));
    eventually("the request is in the access log", PATIENCE, || {
        let log = fs::read_to_string(rig.access_log()).unwrap_or_default();
        if log.contains("protocol=h2") { Ok(()) } else { Err(log) }
    });

    // What cannot be used changes nothing.
    let kept = fs::read(folder.join("chain.pem")).unwrap();
    authority.issue(&folder, "safe.localhost");
    fs::write(folder.join("chain.pem"), kept).unwrap();
    let refused = certs(&["add", "chain.pem", "key.pem"]);
    assert!(
        refused.expect_failure(1, "a key of another certificate").contains("key: it is the key of another"),
        "{refused:?}"
    );
    authority.issue(&folder, "other.example");
    let refused = certs(&["add", "chain.pem", "key.pem"]);
    assert!(
        refused.expect_failure(1, "a certificate of others").contains("the certificate is for other.example"),
        "{refused:?}"
    );
    assert_eq!(fetch(&rig, &client).unwrap().1, first);

    // It is renewed again and again while clients shake hands.
    let (over, fetched) = (AtomicBool::new(false), AtomicUsize::new(0));
    let last = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    fetch(&rig, &client).unwrap();
                    fetched.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut last = first.clone();
        for _ in 0..5 {
            last = authority.issue(&folder, "safe.localhost");
            certs(&["add", "chain.pem", "key.pem"]).expect("flynn certs add");
            eventually("the fresh certificate is shown", PATIENCE, || match fetch(&rig, &client) {
                Ok((_, shown)) if shown == last => Ok(()),
                other => Err(other.map(drop)),
            });
        }
        over.store(true, Ordering::Relaxed);
        last
    });
    assert!(fetched.load(Ordering::Relaxed) >= 10, "{fetched:?}");

    // The router goes on without the control plane, and no key lies open anywhere.
    without_control_plane_and_at_last_without_certificate(rig, &client, &last);
}

fn without_control_plane_and_at_last_without_certificate(
    mut rig: Rig,
    client: &Arc<ClientConfig>,
    last: &CertificateDer<'static>,
) {
    rig.kill_flynnd();
    assert_eq!(fetch(&rig, client).unwrap().1, *last);
    rig.start_flynnd();
    let saved = fs::read_to_string(rig.layout().router().join("certificates.json")).unwrap();
    assert!(saved.contains("BEGIN CERTIFICATE") && !saved.contains("PRIVATE KEY"), "{saved}");
    let store = fs::read(rig.layout().store()).unwrap();
    assert!(!store.windows(16).any(|window| window == b"BEGIN PRIVATE KE"), "the store has a key in the clear");

    let listed = rig.flynn(&["certs", "--app", "safe", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(listed.expect("flynn certs")).unwrap();
    let listed = listed.as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["hosts"]), (1, &serde_json::json!(["safe.localhost"])), "{listed:?}");
    let id = listed[0]["id"].as_str().unwrap();
    rig.flynn(&["certs", "remove", id, "--app", "safe"]).expect("flynn certs remove");
    eventually("the certificate is gone", PATIENCE, || match fetch(&rig, client) {
        Err(_) => Ok(()),
        Ok(_) => Err("it is still served"),
    });
    rig.down();
}
