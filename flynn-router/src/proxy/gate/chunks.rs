//! Where a chunked body ends, and whether it keeps to the grammar on the way (RFC 9112 §7.1).

use super::super::Failure;

/// The most bytes of one chunk extension, and of all trailer fields together.
const LONGEST_EXTENSION: usize = 256;
const LONGEST_TRAILERS: usize = 8 << 10;

/// Follows a chunked body from its first byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunks {
    state: State,
    /// The size of the chunk being read.
    size: u64,
    /// How long the extension, or the trailers, are so far.
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// How many digits of the size were read.
    Size(u8),
    Extension,
    SizeEnd,
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a trailer line.
    Line,
    /// In the name of a trailer field.
    Name,
    Value,
    ValueEnd,
    LastEnd,
    Done,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { state: State::Size(0), size: 0, length: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads on, up to the end of the body or of `bytes`, and says how many bytes belong to the body.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Done => break,
                State::Data(left) => {
                    let here = left.min((bytes.len() - at) as u64);
                    at += here as usize;
                    self.state = if here == left { State::DataCr } else { State::Data(left - here) };
                    continue;
                }
                state => self.state = self.step(state, byte)?,
            }
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, state: State, byte: u8) -> Result<State, Failure> {
        let bad = Failure::BadRequest("a malformed chunk");
        let next = match (state, byte) {
            (State::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 16 => {
                let digit = char::from(byte).to_digit(16).ok_or(bad)?;
                let start = if digits == 0 { 0 } else { self.size };
                self.size = start << 4 | u64::from(digit);
                State::Size(digits + 1)
            }
            (State::Size(1..), b'\r') => State::SizeEnd,
            (State::Size(1..), b';') => State::Extension,
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\t' | b' '..=b'~') if self.length < LONGEST_EXTENSION => {
                self.length += 1;
                State::Extension
            }
            (State::SizeEnd, b'\n') => {
                self.length = 0;
                if self.size == 0 { State::Line } else { State::Data(self.size) }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0),
            (State::Line, b'\r') => State::LastEnd,
            (State::LastEnd, b'\n') => State::Done,
            (State::Line | State::Name, _) if super::head::is_token(byte) => self.trailer(State::Name)?,
            (State::Name, b':') => self.trailer(State::Value)?,
            (State::Value, b'\r') => State::ValueEnd,
            (State::Value, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(State::Value)?,
            (State::ValueEnd, b'\n') => State::Line,
            _ => return Err(bad),
        };
        Ok(next)
    }

    fn trailer(&mut self, next: State) -> Result<State, Failure> {
        self.length += 1;
        if self.length > LONGEST_TRAILERS { Err(Failure::BadRequest("too many trailers")) } else { Ok(next) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(body: &[u8], expect: Result<(usize, bool), ()>) {
        let mut chunks = Chunks::new();
        let read = chunks.read(body).map(|read| (read, chunks.is_done())).map_err(drop);
        assert_eq!(read, expect, "{:?}", String::from_utf8_lossy(body));
    }

    #[test]
    fn bodies_end_after_the_last_chunk() {
        check(b"0\r\n\r\nGET", Ok((5, true)));
        check(b"3\r\nabc\r\n0\r\n\r\n", Ok((13, true)));
        check(b"3;a=\"b\"\r\nabc\r\n000\r\nX: y\r\n\r\n!", Ok((27, true)));
        check(b"A\r\n0123456789\r\n", Ok((15, false)));
        check(b"", Ok((0, false)));
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        for body in [
            &b"\r\n"[..],
            b"0x3\r\n",
            b"+3\r\n",
            b" 3\r\n",
            b"3 \r\n",
            b"3\n",
            b"3\r\r",
            b"3\r\nabcd",
            b"3\r\nabc\n",
            b"3;\n\r\n",
            b"3;\0\r\n",
            b"00000000000000003\r\n",
            b"0\r\n: x\r\n",
            b"0\r\nX : x\r\n",
            b"0\r\n x\r\n",
            b"0\r\nX: x\n",
            b"0\r\n\n",
        ] {
            check(body, Err(()));
        }
        check(&[b"3;".as_slice(), &[b'a'; 300]].concat(), Err(()));
        check(&[b"0\r\nX:".as_slice(), &[b'a'; 9_000]].concat(), Err(()));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_end(sizes in proptest::collection::vec(1_usize..300, 0..8), cut in 1_usize..50) {
            let mut body = Vec::new();
            for size in sizes {
                body.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                body.extend(vec![b'\n'; size]);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\nA: b\r\n\r\n");
            let end = body.len();
            body.extend_from_slice(b"next");
            let mut chunks = Chunks::new();
            let mut total = 0;
            for part in body.chunks(cut) {
                total += chunks.read(part).unwrap();
            }
            prop_assert!(chunks.is_done());
            prop_assert_eq!(total, end);
        }
    }
}
