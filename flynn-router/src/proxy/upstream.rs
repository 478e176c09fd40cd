//! Connections to instances.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::body::{RequestBody, Upload};
use crate::table::{Backend, Engaged, Passage};

/// The most fields and bytes of an answer's head.
const MOST_FIELDS: usize = 200;
const LARGEST_HEAD: usize = 256 << 10;

/// An open connection to an instance.
pub(crate) struct Upstream {
    pub(crate) sender: SendRequest<RequestBody>,
    pub(crate) wire: Arc<Wire>,
}

/// What is known of the bytes of a connection.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    written: AtomicU64,
    armed: AtomicBool,
    /// The routing decision of the request that is about to be written.
    passage: Mutex<Option<Passage>>,
}

impl Wire {
    /// Ends `passage` when the next byte was written: from there on the request is this instance's.
    pub(crate) fn arm(&self, passage: Option<Passage>) {
        *self.passage.lock().unwrap_or_else(PoisonError::into_inner) = passage;
        self.armed.store(true, Ordering::Release);
    }

    /// Takes the passage back if nothing was written.
    pub(crate) fn disarm(&self) -> Option<Passage> {
        self.armed.store(false, Ordering::Release);
        self.passage.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    fn wrote(&self, count: usize) {
        self.written.fetch_add(count as u64, Ordering::AcqRel);
        if self.armed.load(Ordering::Acquire) {
            self.armed.store(false, Ordering::Release);
            drop(self.passage.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// The tasks that drive connections. Whoever owns this awaits them.
#[derive(Debug, Default)]
pub(crate) struct Drivers(Mutex<JoinSet<()>>);

impl Drivers {
    /// Connects to an instance within `limit`.
    pub(crate) async fn connect(&self, backend: &Backend, limit: Duration) -> io::Result<Upstream> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let stream = timeout(limit, TcpStream::connect(backend.address())).await.map_err(late)??;
        stream.set_nodelay(true)?;
        let wire = Arc::new(Wire::default());
        let socket = WatchedSocket { socket: TokioIo::new(stream), wire: wire.clone() };
        let (sender, connection) = http1::Builder::new()
            .max_headers(MOST_FIELDS)
            .max_header_size(LARGEST_HEAD)
            .writev(true)
            .handshake(socket)
            .await
            .map_err(io::Error::other)?;
        let driver = async move {
            // Its errors reach the request that uses the connection; an idle one just ends.
            let _ = connection.with_upgrades().await;
        };
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(driver);
        Ok(Upstream { sender, wire })
    }

    /// Ends all connections and waits for their tasks.
    pub(crate) async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

struct WatchedSocket {
    socket: TokioIo<TcpStream>,
    wire: Arc<Wire>,
}

impl WatchedSocket {
    fn watch(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count @ 1..)) = written {
            self.wire.wrote(count);
        }
        written
    }
}

impl hyper::rt::Read for WatchedSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for WatchedSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.watch(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.watch(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// A connection in use by one request.
pub(crate) struct Lease {
    pub(crate) upstream: Upstream,
    pub(crate) backend: Arc<Backend>,
    pub(crate) upload: Arc<Upload>,
    /// How many unused connections are kept, and for how long.
    pub(crate) keep: (usize, Duration),
    pub(crate) engaged: Engaged,
}

impl Lease {
    /// The answer was read to its end: the next request can have the connection, unless this one is still
    /// being sent.
    pub(crate) fn give_back(self) {
        let Self { upstream, backend, upload, keep: (most, longest), engaged } = self;
        drop(engaged);
        if upload.is_done() && !upstream.sender.is_closed() {
            backend.idle.put(upstream, most, longest);
            // A retirement that came in between did not see what was just put there.
            if backend.is_retired() {
                backend.idle.clear();
            }
        }
    }
}
