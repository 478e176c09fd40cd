//! Instances of an app, written by hand.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::rig::{Client, field};

/// An instance that runs a script for every connection. It ends when this is dropped.
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Instance {
    pub(crate) async fn script<F, R>(script: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let accepting = tokio::spawn(async move {
            // Dropped with the task, it ends all scripts.
            let mut scripts = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                scripts.spawn(script(stream));
            }
        });
        Self { address, connections, accepting }
    }

    /// An instance that gives the same answer to every request.
    pub(crate) async fn fixed(answer: &str) -> Recorder {
        let answer = answer.to_owned();
        Recorder::start(move |_| answer.clone().into_bytes()).await
    }

    pub(crate) async fn hello() -> Recorder {
        Self::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A request as it reached an instance.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The raw bytes of the body, with its framing.
    pub(crate) raw: Vec<u8>,
    pub(crate) trailers: String,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

/// An instance that keeps what it got.
pub(crate) struct Recorder {
    pub(crate) instance: Instance,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Recorder {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (kept, answer) = (seen.clone(), Arc::new(answer));
        let instance = Instance::script(move |stream| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let mut peer = Client::over(stream);
                while let Some(request) = read_request(&mut peer).await {
                    let bytes = answer(&request);
                    kept.lock().unwrap().push(request);
                    peer.send(&bytes).await;
                    if String::from_utf8_lossy(&bytes).to_lowercase().contains("connection: close") {
                        return;
                    }
                }
            }
        })
        .await;
        Self { instance, seen }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.instance.address
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen[0].clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.instance.connections.load(Ordering::SeqCst)
    }
}

/// A whole request; none if the connection ends before it does.
pub(crate) async fn read_request(peer: &mut Client) -> Option<Seen> {
    let head = peer.head().await?;
    let mut seen = Seen { head, body: Vec::new(), raw: Vec::new(), trailers: String::new() };
    if seen.field("transfer-encoding").is_some() {
        loop {
            let line = peer.through(b"\r\n").await?;
            seen.raw.extend_from_slice(&line);
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            let data = peer.exactly(size + 2).await?;
            seen.raw.extend_from_slice(&data);
            seen.body.extend_from_slice(&data[..size]);
        }
        loop {
            let line = peer.through(b"\r\n").await?;
            if line == b"\r\n" {
                break;
            }
            seen.trailers.push_str(std::str::from_utf8(&line).unwrap());
        }
    } else if let Some(length) = seen.field("content-length") {
        seen.body = peer.exactly(length.parse().unwrap()).await?;
        seen.raw = seen.body.clone();
    }
    Some(seen)
}
