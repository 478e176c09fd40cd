use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::port::BlobReader;
use crate::value::Digest;

/// `bytes` bytes that depend on `seed`.
pub(super) fn bytes(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut content = Vec::with_capacity(bytes + 8);
    while content.len() < bytes {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        content.extend((word ^ (word >> 31)).to_le_bytes());
    }
    content.truncate(bytes);
    content
}

pub(super) fn digest(content: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(content).into())
}

pub(super) fn reader(content: impl Into<Vec<u8>>) -> BlobReader {
    Box::new(io::Cursor::new(content.into()))
}

/// Reads to the end.
pub(super) async fn read(mut reader: BlobReader) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    reader.read_to_end(&mut content).await?;
    Ok(content)
}

/// Content that arrives as networks deliver it: in uneven pieces, with pauses, and perhaps with an error
/// at the end.
pub(super) struct Dribble {
    left: VecDeque<u8>,
    polls: usize,
    end: Option<io::ErrorKind>,
}

impl Dribble {
    pub(super) fn new(content: Vec<u8>) -> Self {
        Self { left: content.into(), polls: 0, end: None }
    }

    pub(super) fn failing(content: Vec<u8>, end: io::ErrorKind) -> Self {
        Self { end: Some(end), ..Self::new(content) }
    }
}

impl AsyncRead for Dribble {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.polls += 1;
        if self.polls.is_multiple_of(3) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left.is_empty() {
            return Poll::Ready(self.end.map_or(Ok(()), |kind| Err(kind.into())));
        }
        let piece = (1 + self.polls * 7_919 % 60_000).min(into.remaining()).min(self.left.len());
        let piece: Vec<u8> = self.left.drain(..piece).collect();
        into.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}
