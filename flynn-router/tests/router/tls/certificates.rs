//! Which certificate a client is shown, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use flynn_router::tls::TlsSettings;
use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::secured::{H2, Secured, ask, connect, silent, tls_settings};
use crate::instance::Instance;
use crate::rig::{settings, soon, until};

const CLOSE: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
const KEEP: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn a_host_has_its_own_certificate_or_that_of_the_wildcard_above() {
    let instance = Instance::hello().await;
    let secured = Secured::to(&[instance.address()]).await;
    secured.serve(&["*.b.example"]);
    secured.serve(&["own.b.example"]);
    let config = Arc::new(secured.authority.client(&["http/1.1"]));
    // The client itself checks that the certificate is for the host.
    let mut seen = Vec::new();
    for host in ["a.example", "x.b.example", "y.b.example", "own.b.example", "A.Example"] {
        seen.push(shown(&secured.connect(&config, host).await.unwrap()));
    }
    assert_eq!((seen[1] == seen[2], seen[2] == seen[3], seen[0] == seen[4]), (true, false, true));
    for host in ["b.example", "x.y.b.example", "none.example", "127.0.0.1"] {
        assert!(secured.connect(&config, host).await.is_err(), "{host}");
    }
    // Nor does one get far who speaks no TLS.
    let mut plain = silent(secured.address).await;
    plain.send(CLOSE).await;
    assert!(!String::from_utf8_lossy(&plain.rest().await).contains("HTTP/"));
    until(|| secured.rig.counts().unsecured == 5).await;
    secured.end().await;
}

#[tokio::test]
async fn both_versions_are_spoken_and_sessions_resumed() {
    let instance = Instance::hello().await;
    let secured = Secured::to(&[instance.address()]).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = Arc::new(secured.authority.client_of(&["http/1.1"], &[version]));
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let stream = secured.connect(&config, "a.example").await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            assert!(ask(stream, CLOSE).await.starts_with("HTTP/1.1 200 "));
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
        // A session is no way in where the certificate is gone.
        secured.forget("a.example");
        assert!(secured.connect(&config, "a.example").await.is_err());
        secured.serve(&["a.example"]);
    }
    secured.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_change_during_handshakes_without_a_failed_request() {
    let instance = Instance::hello().await;
    let secured = Arc::new(Secured::to(&[instance.address()]).await);
    let config = Arc::new(secured.authority.client(&["http/1.1"]));
    let mut old = secured.connect(&config, "a.example").await.unwrap();
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..4 {
        let (secured, over, asked) = (secured.clone(), over.clone(), asked.clone());
        clients.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let protocol = if number % 2 == 0 { "http/1.1" } else { "h2" };
                let config = Arc::new(secured.authority.client(&[protocol]));
                let stream = secured.connect(&config, "a.example").await.unwrap();
                if number % 2 == 0 {
                    assert!(ask(stream, CLOSE).await.starts_with("HTTP/1.1 200 "));
                } else {
                    assert_eq!(H2::over(stream).await.get("https://a.example/").await, (200, "hello".into()));
                }
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut rounds = 0;
    while rounds < 100 || asked.load(Ordering::Relaxed) < 100 {
        secured.serve(&["a.example"]);
        rounds += 1;
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    // One that connected before all of this is served as well, even when its host has no certificate any more.
    secured.forget("a.example");
    soon(old.write_all(KEEP.as_bytes())).await.unwrap();
    let mut answer = [0; 15];
    soon(old.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    drop(old);
    assert!(secured.table.is_empty());
    Arc::into_inner(secured).unwrap().end().await;
}

#[tokio::test]
async fn a_client_has_some_time_for_its_handshake() {
    let tls = tls_settings(|tls| tls.handshake_time = Duration::from_millis(300));
    let secured = Secured::with(&[], settings(|_| {}), tls).await;
    let mut mute = silent(secured.address).await;
    let began = Instant::now();
    assert!(mute.rest().await.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(250));
    secured.end().await;
}

/// The first message of a client, which it follows with nothing.
async fn stuck(secured: &Secured) -> TcpStream {
    let config = Arc::new(secured.authority.client(&["h2"]));
    let name = "a.example".try_into().unwrap();
    let mut hello = Vec::new();
    rustls::ClientConnection::new(config, name).unwrap().write_tls(&mut hello).unwrap();
    let mut stream = TcpStream::connect(secured.address).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    // The server's answer says that the handshake is under way.
    let mut first = [0; 1];
    soon(stream.read_exact(&mut first)).await.unwrap();
    stream
}

#[tokio::test]
async fn handshakes_that_hang_keep_nobody_out() {
    let instance = Instance::hello().await;
    let tls = tls_settings(|tls| tls.handshakes = 2);
    let secured = Secured::with(&[instance.address()], settings(|_| {}), tls).await;
    let (_one, _two) = (stuck(&secured).await, stuck(&secured).await);
    let began = Instant::now();
    let config = Arc::new(secured.authority.client(&["http/1.1"]));
    let stream = connect(secured.address, &config, "a.example").await.unwrap();
    assert!(ask(stream, CLOSE).await.starts_with("HTTP/1.1 200 "));
    assert!(began.elapsed() < TlsSettings::default().handshake_time / 2, "{:?}", began.elapsed());
    assert!(secured.rig.counts().unsecured >= 1);
    secured.end().await;
}

#[tokio::test]
async fn the_end_of_service_does_not_wait_for_handshakes() {
    let mut secured = Secured::to(&[]).await;
    let (_mute, _stuck) = (silent(secured.address).await, stuck(&secured).await);
    let began = Instant::now();
    secured.begin_stop();
    assert_eq!(secured.stopped().await.cut, 0);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
