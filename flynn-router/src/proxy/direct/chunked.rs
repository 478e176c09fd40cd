//! A chunked body on its way through: its framing is checked, its extensions end here, and of its trailers those
//! pass that were announced (RFC 9112 §7.1).

/// The most bytes of one chunk extension, and of all trailer fields together.
const LONGEST_EXTENSION: usize = 256;
const LONGEST_TRAILERS: usize = 8 << 10;

/// Fields that mean nothing, or something else, after a body (RFC 9110 §6.5.1).
const NEVER_TRAILERS: [&[u8]; 13] = [
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-range",
    b"content-type",
    b"host",
    b"max-forwards",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
];

/// Follows a chunked body from its first byte.
#[derive(Debug)]
pub(super) struct ChunkFilter {
    state: State,
    /// The size of the chunk being read.
    size: u64,
    /// How long the extension is so far.
    length: usize,
    /// Whether spaces after a size are forgiven, as some servers write them.
    lenient: bool,
    /// The names of the trailer fields that may pass, separated by commas.
    announced: Vec<u8>,
    trailers: Vec<u8>,
    data: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// How many digits of the size were read.
    Size(u8),
    Space,
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

/// How far a filter came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filtered {
    /// Bytes that belong to the body.
    pub(super) read: usize,
    /// Bytes that pass: they are at the beginning.
    pub(super) kept: usize,
    /// Whether the body breaks the grammar after them.
    pub(super) malformed: bool,
}

impl ChunkFilter {
    /// For a body whose head announces these trailers, in `Trailer` fields joined by commas.
    pub(super) fn new(lenient: bool, announced: Vec<u8>) -> Self {
        Self { state: State::Size(0), size: 0, length: 0, lenient, announced, trailers: Vec::new(), data: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes of the content have come.
    pub(super) fn data(&self) -> u64 {
        self.data
    }

    /// Reads on, up to the end of the body or of `bytes`. What passes moves to the beginning.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> Filtered {
        let (mut read, mut kept) = (0, 0);
        while let Some(&byte) = bytes.get(read) {
            let before = self.state;
            match before {
                State::Done => break,
                State::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - read);
                    if kept != read {
                        bytes.copy_within(read..read + here, kept);
                    }
                    (read, kept, self.data) = (read + here, kept + here, self.data + here as u64);
                    self.state = if here as u64 == left { State::DataCr } else { State::Data(left - here as u64) };
                    continue;
                }
                state => match self.step(state, byte) {
                    Some(next) => self.state = next,
                    None => return Filtered { read, kept, malformed: true },
                },
            }
            let stays = match self.state {
                State::Space | State::Extension | State::Name | State::Value | State::ValueEnd => false,
                State::LastEnd | State::Done => self.trailers.is_empty(),
                State::Line => before == State::SizeEnd,
                _ => true,
            };
            if stays {
                if let Some(place) = bytes.get_mut(kept) {
                    *place = byte;
                }
                kept += 1;
            }
            read += 1;
        }
        Filtered { read, kept, malformed: false }
    }

    /// What follows the bytes that passed once the body is done: trailers, if there are any.
    pub(super) fn tail(&mut self) -> Vec<u8> {
        let mut tail = Vec::new();
        if self.state != State::Done || self.trailers.is_empty() {
            return tail;
        }
        let trailers = std::mem::take(&mut self.trailers);
        for line in trailers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            let is_announced =
                self.announced.split(|b| *b == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(name));
            if is_announced && !NEVER_TRAILERS.iter().any(|never| never.eq_ignore_ascii_case(name)) {
                tail.extend(name.iter().map(u8::to_ascii_lowercase));
                tail.extend_from_slice(b": ");
                tail.extend_from_slice(value.get(1..).unwrap_or_default().trim_ascii());
                tail.extend_from_slice(b"\r\n");
            }
        }
        tail.extend_from_slice(b"\r\n");
        tail
    }

    fn step(&mut self, state: State, byte: u8) -> Option<State> {
        let next = match (state, byte) {
            (State::Size(digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < 16 => {
                let start = if digits == 0 { 0 } else { self.size };
                self.size = start << 4 | u64::from(char::from(byte).to_digit(16)?);
                State::Size(digits + 1)
            }
            (State::Size(1..) | State::Space, b'\r') => State::SizeEnd,
            (State::Size(1..) | State::Space, b' ' | b'\t') if self.lenient && self.length < LONGEST_EXTENSION => {
                self.length += 1;
                State::Space
            }
            (State::Size(1..) | State::Space, b';') => State::Extension,
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
            (State::Line | State::Name, _) if super::request::is_token(byte) => self.trailer(byte, State::Name)?,
            (State::Name, b':') => self.trailer(byte, State::Value)?,
            (State::Value, b'\r') => State::ValueEnd,
            (State::Value, b'\t' | b' '..=b'~' | 0x80..) => self.trailer(byte, State::Value)?,
            (State::ValueEnd, b'\n') => {
                self.trailer(byte, State::Line)?;
                State::Line
            }
            _ => return None,
        };
        Some(next)
    }

    fn trailer(&mut self, byte: u8, next: State) -> Option<State> {
        self.trailers.push(byte);
        (self.trailers.len() <= LONGEST_TRAILERS).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::gate::Chunks;
    use super::*;

    /// What becomes of a body that comes in parts of `cut` bytes, and how much of it was read.
    fn filtered(body: &[u8], cut: usize, filter: &mut ChunkFilter) -> Option<(Vec<u8>, usize)> {
        let (mut passed, mut read) = (Vec::new(), 0);
        for part in body.chunks(cut) {
            let mut part = part.to_vec();
            let done = filter.pass(&mut part);
            passed.extend_from_slice(&part[..done.kept]);
            passed.extend(filter.tail());
            read += done.read;
            if done.malformed {
                return None;
            }
        }
        Some((passed, read))
    }

    fn check(body: &str, expect: &str) {
        for cut in 1..=body.len() {
            let mut filter = ChunkFilter::new(false, b"X-Sum, Content-Length".to_vec());
            let (passed, read) = filtered(body.as_bytes(), cut, &mut filter).unwrap();
            assert_eq!((String::from_utf8(passed).unwrap().as_str(), filter.is_done()), (expect, true), "{body:?}");
            assert_eq!(read, body.find("\r\n\r\nNEXT").map_or(body.len(), |at| at + 4));
        }
    }

    #[test]
    fn content_passes_and_extensions_end() {
        check("3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n");
        check("3;a=\"b\"\r\nabc\r\n1;x\r\nd\r\n0;y\r\n\r\nNEXT", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
    }

    #[test]
    fn announced_trailers_pass_and_no_others() {
        check("0\r\nX-Sum:  7 \r\nContent-Length: 5\r\nX-Other: 1\r\n\r\nNEXT", "0\r\nx-sum: 7\r\n\r\n");
        check("1\r\na\r\n0\r\nX-Other: 1\r\n\r\n", "1\r\na\r\n0\r\n\r\n");
    }

    #[test]
    fn spaces_after_a_size_are_forgiven_to_instances_alone() {
        let body = b"3 \t\r\nabc\r\n0  ;x\r\n\r\n";
        assert!(filtered(body, 4, &mut ChunkFilter::new(false, Vec::new())).is_none());
        let (passed, _) = filtered(body, 4, &mut ChunkFilter::new(true, Vec::new())).unwrap();
        assert_eq!(passed, b"3\r\nabc\r\n0\r\n\r\n");
    }

    proptest! {
        /// It takes what the gate takes, reads as far, and what it lets through is a body with the same content.
        #[test]
        fn it_agrees_with_the_gate(
            parts in proptest::collection::vec("[0-9a-f]{1,2}|[;\r\n :]|\r\n|[a-z]{1,20}|0\r\n\r\n|1\r\nx\r\n", 0..12),
            cut in 1_usize..20,
        ) {
            let body = parts.concat().into_bytes();
            let mut chunks = Chunks::new();
            let gate = chunks.read(&body).map(|read| (read, chunks.is_done()));
            let mut filter = ChunkFilter::new(false, Vec::new());
            let own = filtered(&body, cut, &mut filter);
            match (gate, own) {
                (Ok((read, done)), Some((passed, own_read))) => {
                    prop_assert_eq!((read, done), (own_read, filter.is_done()));
                    if done {
                        let mut again = ChunkFilter::new(false, Vec::new());
                        let (same, _) = filtered(&passed, passed.len(), &mut again).unwrap();
                        prop_assert!(again.is_done());
                        prop_assert_eq!(again.data(), filter.data());
                        prop_assert_eq!(same, passed);
                    }
                }
                (Err(_), None) => {}
                (gate, own) => prop_assert!(false, "{:?} is not {:?}", gate, own),
            }
        }
    }
}
