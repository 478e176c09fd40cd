//! Probes against real sockets.
#![allow(clippy::unwrap_used, reason = "a failed expectation ends the test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use flynn_core::noun::{Health, HealthCheck, Probe};
use flynn_runtime::health::{ProbeError, Prober};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

fn check(probe: Probe) -> HealthCheck {
    HealthCheck { probe, interval: Duration::from_millis(10), timeout: Duration::from_secs(5), threshold: 3 }
}

fn http() -> Probe {
    Probe::Http { path: "/healthz".parse().unwrap() }
}

/// A server that answers with the status it is told, 0 for words that are no HTTP.
async fn serve(listener: TcpListener, status: Arc<AtomicU16>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        // A probe of the port alone sends nothing.
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            continue;
        }
        assert_eq!(line, "GET /healthz HTTP/1.1\r\n");
        let answer = match status.load(Ordering::SeqCst) {
            0 => "hello\r\n".to_owned(),
            status => format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n"),
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn server(status: u16) -> (SocketAddr, Arc<AtomicU16>, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let status = Arc::new(AtomicU16::new(status));
    (address, Arc::clone(&status), serve(listener, status))
}

#[tokio::test]
async fn health_changes_with_the_answers() {
    let (address, status, serving) = server(503).await;
    let probing = async {
        let mut prober = Prober::new(address, check(http()));
        // Not healthy, but never yet healthy either.
        let early = tokio::time::timeout(Duration::from_millis(300), prober.changed()).await;
        assert!(early.is_err());
        assert!(matches!(prober.failure(), Some(ProbeError::BadStatus { status: 503, .. })));
        for (answer, health) in [(204, Health::Healthy), (500, Health::Unhealthy), (399, Health::Healthy)] {
            status.store(answer, Ordering::SeqCst);
            assert_eq!(prober.changed().await, health);
        }
        assert!(prober.failure().is_none());
        status.store(0, Ordering::SeqCst);
        assert_eq!(prober.changed().await, Health::Unhealthy);
        assert_eq!(prober.failures(), 3);
        assert!(matches!(prober.failure(), Some(ProbeError::NotHttp { .. })));
    };
    tokio::select! {
        () = serving => unreachable!("a server serves for ever"),
        done = tokio::time::timeout(Duration::from_secs(50), probing) => done.unwrap(),
    }
}

#[tokio::test]
async fn a_port_is_open_or_not() {
    let (address, _, serving) = server(0).await;
    let mut prober = Prober::new(address, check(Probe::Tcp));
    tokio::select! {
        () = serving => unreachable!("a server serves for ever"),
        health = prober.changed() => assert_eq!(health, Health::Healthy),
    }
    // The server is gone with its future.
    let health = tokio::time::timeout(Duration::from_secs(50), prober.changed()).await.unwrap();
    assert_eq!(health, Health::Unhealthy);
    assert!(matches!(prober.failure(), Some(ProbeError::NoAnswer { .. })));
}

#[tokio::test]
async fn a_silent_server_is_too_slow() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let check = HealthCheck { timeout: Duration::from_millis(50), ..check(http()) };
    let prober = Prober::new(listener.local_addr().unwrap(), check);
    assert!(matches!(prober.probe().await, Err(ProbeError::TooSlow { .. })));
}
