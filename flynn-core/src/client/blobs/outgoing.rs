use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep};

use crate::client::RemoteOptions;
use crate::port::BlobReader;

/// What is read and sent at a time.
const PIECE: usize = 256 << 10;

/// Content on its way to a server.
pub(super) struct Outgoing {
    /// Only ever reached through an exclusive reference; a body has to be `Sync`.
    content: Mutex<BlobReader>,
    piece: Vec<u8>,
    filled: usize,
    progress: Arc<Progress>,
}

/// How far it is.
pub(super) struct Progress(Mutex<Stage>);

enum Stage {
    /// The content has no more for the moment.
    Reading,
    /// A piece was handed on at this time.
    Handed(Instant),
    /// The last piece was.
    Ended(Instant),
    /// The content could not be read.
    Failed(Option<io::Error>),
}

impl Progress {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the content could not be read, if so.
    pub(super) fn failure(&self) -> Option<io::Error> {
        match &mut *self.stage() {
            Stage::Failed(error) => error.take(),
            _ => None,
        }
    }

    /// Says when the server does not go on.
    pub(super) async fn stalled(&self, options: &RemoteOptions) -> String {
        let patience = options.patience;
        let finish = options.deadline.saturating_mul(10);
        loop {
            sleep(patience.min(finish) / 4).await;
            match *self.stage() {
                Stage::Handed(at) if at.elapsed() > patience => return format!("took nothing for {patience:?}"),
                Stage::Ended(at) if at.elapsed() > finish => return format!("gave no answer within {finish:?}"),
                _ => {}
            }
        }
    }
}

impl Outgoing {
    pub(super) fn new(content: BlobReader) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress(Mutex::new(Stage::Handed(Instant::now()))));
        (Self { content: Mutex::new(content), piece: Vec::new(), filled: 0, progress: progress.clone() }, progress)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let content = self.content.get_mut().unwrap_or_else(PoisonError::into_inner);
        if self.piece.is_empty() {
            self.piece.resize(PIECE, 0);
        }
        while self.filled < PIECE {
            let mut into = ReadBuf::new(&mut self.piece[self.filled..]);
            ready!(Pin::new(&mut *content).poll_read(cx, &mut into))?;
            match into.filled().len() {
                0 => break,
                count => self.filled += count,
            }
        }
        let mut piece = std::mem::take(&mut self.piece);
        piece.truncate(std::mem::take(&mut self.filled));
        Poll::Ready(Ok(Some(piece).filter(|piece| !piece.is_empty()).map(Bytes::from)))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let outgoing = self.get_mut();
        let polled = outgoing.poll_piece(cx);
        let (stage, polled) = match polled {
            Poll::Pending => (Stage::Reading, Poll::Pending),
            Poll::Ready(Ok(Some(piece))) => (Stage::Handed(Instant::now()), Poll::Ready(Some(Ok(Frame::data(piece))))),
            Poll::Ready(Ok(None)) => (Stage::Ended(Instant::now()), Poll::Ready(None)),
            Poll::Ready(Err(error)) => {
                let told = io::Error::from(error.kind());
                (Stage::Failed(Some(error)), Poll::Ready(Some(Err(told))))
            }
        };
        *outgoing.progress.stage() = stage;
        polled
    }
}
