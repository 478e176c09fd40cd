//! Memory for bytes on their way, lent out for as long as there are any.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Holds most heads of requests.
const SMALL: usize = 8 << 10;
/// Space before what is read from an instance, so that a head can be written in front of a body.
pub(super) const HEADROOM: usize = 2 << 10;
/// Holds a body of 64 kB with its head.
const LARGE: usize = HEADROOM + (68 << 10);
/// How many of each kind are kept.
const MOST_KEPT: usize = 64;
/// The largest text that is kept for the next request.
const LARGEST_TEXT: usize = 64 << 10;

/// Bytes, and room for more behind them.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Whether it has no memory at all.
    pub(super) fn is_none(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Lets go of the first bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Lets go of the last bytes.
    pub(super) fn truncate(&mut self, length: usize) {
        self.end = self.end.min(self.start + length);
    }

    /// Empties it, with room for a head in front.
    pub(super) fn reset(&mut self) {
        self.start = HEADROOM.min(self.bytes.len());
        self.end = self.start;
    }

    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// There are `count` more bytes, which were written to the room.
    pub(super) fn grew(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Makes room where there is none.
    pub(super) fn widen(&mut self) {
        if self.end < self.bytes.len() {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end * 2 > self.bytes.len() {
            self.grow();
        }
    }

    /// Makes it twice as large.
    pub(super) fn grow(&mut self) {
        self.bytes.resize((self.bytes.len() * 2).max(SMALL), 0);
    }

    /// Puts `text` in front, if there is space for it.
    fn prepend(&mut self, text: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(text.len()).filter(|_| !self.is_empty()) else { return false };
        let Some(space) = self.bytes.get_mut(start..self.start) else { return false };
        space.copy_from_slice(text);
        self.start = start;
        true
    }

    /// Puts `text` behind, if there is room for it.
    pub(super) fn append(&mut self, text: &[u8]) -> bool {
        let Some(space) = self.room().get_mut(..text.len()) else { return false };
        space.copy_from_slice(text);
        self.grew(text.len());
        true
    }
}

/// What requests need for a while.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    small: Mutex<Vec<Vec<u8>>>,
    large: Mutex<Vec<Vec<u8>>>,
    texts: Mutex<Vec<Vec<u8>>>,
}

fn locked(shelf: &Mutex<Vec<Vec<u8>>>) -> MutexGuard<'_, Vec<Vec<u8>>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Buffers {
    /// For the head of a request.
    pub(super) fn small(&self) -> Buffer {
        let bytes = locked(&self.small).pop().unwrap_or_else(|| vec![0; SMALL]);
        Buffer { bytes, start: 0, end: 0 }
    }

    /// For the body of a message, with headroom.
    pub(super) fn large(&self) -> Buffer {
        let bytes = locked(&self.large).pop().unwrap_or_else(|| vec![0; LARGE]);
        Buffer { bytes, start: HEADROOM, end: HEADROOM }
    }

    /// Takes the memory back; the buffer has none from here on.
    pub(super) fn give(&self, buffer: &mut Buffer) {
        let Buffer { bytes, .. } = std::mem::take(buffer);
        let shelf = match bytes.len() {
            SMALL => &self.small,
            LARGE => &self.large,
            _ => return,
        };
        put(shelf, bytes);
    }

    pub(super) fn text(&self) -> Vec<u8> {
        locked(&self.texts).pop().unwrap_or_default()
    }

    pub(super) fn give_text(&self, mut text: Vec<u8>) {
        text.clear();
        if (1..=LARGEST_TEXT).contains(&text.capacity()) {
            put(&self.texts, text);
        }
    }
}

fn put(shelf: &Mutex<Vec<Vec<u8>>>, bytes: Vec<u8>) {
    let mut shelf = locked(shelf);
    if shelf.len() < MOST_KEPT {
        shelf.push(bytes);
    }
}

/// Reads into `room`.
pub(super) fn poll_read<R: AsyncRead + Unpin>(
    reader: &mut R,
    room: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut read = ReadBuf::new(room);
    ready!(Pin::new(reader).poll_read(cx, &mut read))?;
    Poll::Ready(Ok(read.filled().len()))
}

/// What is to be written next: a text, then a body, then another text.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) front: Vec<u8>,
    sent: usize,
    pub(super) body: Buffer,
    pub(super) back: Vec<u8>,
}

impl Outbox {
    /// Begins with a text.
    pub(super) fn of(front: Vec<u8>) -> Self {
        Self { front, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.front.len() && self.body.is_empty() && self.back.is_empty()
    }

    /// Brings the parts together where that needs no copy of the body.
    pub(super) fn join(&mut self) {
        if !self.back.is_empty() && !self.body.is_empty() && self.body.append(&self.back) {
            self.back.clear();
        }
        let Some(front) = self.front.get(self.sent..).filter(|front| !front.is_empty()) else { return };
        if self.body.prepend(front) {
            self.front.clear();
            self.sent = 0;
        }
    }

    /// Writes until all is written, and says how much it could write by `written`.
    pub(super) fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        written: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let front = self.front.get(self.sent..).unwrap_or_default();
            let part = match (front.is_empty(), self.body.is_empty()) {
                (false, _) => front,
                (true, false) => self.body.filled(),
                (true, true) if self.back.is_empty() => return Poll::Ready(Ok(())),
                (true, true) => {
                    (self.front, self.sent) = (std::mem::take(&mut self.back), 0);
                    continue;
                }
            };
            let count = ready!(Pin::new(&mut *writer).poll_write(cx, part))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count as u64;
            if !front.is_empty() {
                self.sent += count;
                if self.sent == self.front.len() {
                    self.front.clear();
                    self.sent = 0;
                }
            } else {
                self.body.consume(count);
            }
        }
    }

    /// Gives all memory back.
    pub(super) fn put_away(&mut self, buffers: &Buffers) {
        buffers.give(&mut self.body);
        buffers.give_text(std::mem::take(&mut self.front));
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is joined and however little is taken at a time, the parts are written in their order.
        #[test]
        fn parts_keep_their_order(
            front in proptest::collection::vec(any::<u8>(), 0..3_000),
            body in proptest::collection::vec(any::<u8>(), 0..5_000),
            back in proptest::collection::vec(any::<u8>(), 0..100),
            join in any::<bool>(),
            most in 1_usize..4_000,
        ) {
            let buffers = Buffers::default();
            let mut out = Outbox { front: front.clone(), body: buffers.large(), back: back.clone(), ..Outbox::default() };
            prop_assert!(out.body.append(&body));
            if join {
                out.join();
            }
            let (mut sink, mut written) = (Vec::new(), 0);
            while !out.is_empty() {
                let mut window = vec![0; most];
                let mut writer = io::Cursor::new(window.as_mut_slice());
                let _ = out.poll_send(&mut writer, &mut written, &mut Context::from_waker(Waker::noop()));
                let count = usize::try_from(writer.position()).unwrap();
                sink.extend_from_slice(&window[..count]);
            }
            prop_assert_eq!(written, sink.len() as u64);
            prop_assert_eq!(sink, [front, body, back].concat());
        }
    }

    #[test]
    fn memory_comes_back() {
        let buffers = Buffers::default();
        let (mut small, mut large) = (buffers.small(), buffers.large());
        small.append(b"abc");
        while small.len() < 100_000 {
            small.widen();
            let count = small.room().len();
            small.grew(count);
        }
        assert!(small.filled().starts_with(b"abc"));
        buffers.give(&mut small);
        buffers.give(&mut large);
        assert!(small.is_none() && large.is_none());
        assert_eq!((locked(&buffers.small).len(), locked(&buffers.large).len()), (0, 1));
    }
}
