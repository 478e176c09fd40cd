use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uuid::Uuid;

use super::hub::Way;

/// The bytes of one request. Its node is told when it is dropped, because it may not read on and so not
/// see the end.
pub(super) struct Opened {
    bytes: TokioIo<Upgraded>,
    way: Arc<Way>,
    id: Uuid,
    silent: BoxFuture<'static, ()>,
}

impl Opened {
    pub(super) fn new(way: Arc<Way>, id: Uuid, bytes: TokioIo<Upgraded>) -> Self {
        let mut watch = way.silent();
        // The sender lives in the way, which this holds.
        let silent = async move { drop(watch.wait_for(|silent| *silent).await) }.boxed();
        Self { bytes, way, id, silent }
    }

    fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let silent = self.silent.poll_unpin(cx);
        silent.map(|()| {
            self.silent = std::future::ready(()).boxed();
            io::Error::new(io::ErrorKind::ConnectionAborted, "the node is not heard any more")
        })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.way.close(self.id);
    }
}

impl AsyncRead for Opened {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.bytes).poll_read(cx, into) {
            Poll::Pending => self.poll_silent(cx).map(Err),
            ready => ready,
        }
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}
