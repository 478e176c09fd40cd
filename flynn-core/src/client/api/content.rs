use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

/// What is read and sent at a time.
const PIECE: usize = 64 << 10;

/// The body of an upload, which is read as it is sent.
pub(super) struct Content<R> {
    reader: R,
    /// How many bytes are still to come.
    left: u64,
    piece: Vec<u8>,
}

impl<R> Content<R> {
    /// The first `bytes` bytes of `reader`, which has to have so many.
    pub(super) fn new(reader: R, bytes: u64) -> Self {
        Self { reader, left: bytes, piece: vec![0; PIECE] }
    }
}

impl<R: AsyncRead + Unpin> Body for Content<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { reader, left, piece } = self.get_mut();
        if *left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(*left).unwrap_or(PIECE).min(PIECE);
        let mut buffer = ReadBuf::new(&mut piece[..most]);
        ready!(pin!(reader).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        if read.is_empty() {
            let problem = "what is uploaded ended too early";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem))));
        }
        *left -= read.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(read)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
