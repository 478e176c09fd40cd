use std::fmt;

use crate::error::BoxError;
use crate::noun::Exit;
use crate::port::{LogLine, Signal, TerminalSize};
use crate::wire::message::{decode, decode_word, encode, encode_word};

/// The most bytes of a payload.
pub const MOST_PAYLOAD: usize = 64 << 10;

/// A text of this many bytes fits into a payload, however it is escaped.
const SAFE_TEXT: usize = 8 << 10;

/// One thing that is said over the way to a node.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// What the process is to read.
    Input(Vec<u8>),
    /// There is nothing more for it to read.
    InputEnd,
    /// What it wrote; with a terminal also its errors.
    Output(Vec<u8>),
    /// What it wrote as errors, without a terminal.
    Errors(Vec<u8>),
    /// How large its terminal is.
    Resize(TerminalSize),
    /// A signal for it.
    Signal(Signal),
    /// How it ended. Nothing follows.
    Exit(Exit),
    /// A line of a log.
    Line(LogLine),
    /// Why this cannot go on, in words for whoever opened the way. Nothing follows.
    Problem(String),
}

/// What passes through may be secret, so only its length is shown.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(bytes) => write!(f, "Input({} bytes)", bytes.len()),
            Self::InputEnd => f.write_str("InputEnd"),
            Self::Output(bytes) => write!(f, "Output({} bytes)", bytes.len()),
            Self::Errors(bytes) => write!(f, "Errors({} bytes)", bytes.len()),
            Self::Resize(size) => write!(f, "Resize({} x {})", size.rows, size.columns),
            Self::Signal(signal) => write!(f, "Signal({signal:?})"),
            Self::Exit(exit) => write!(f, "Exit({exit:?})"),
            Self::Line(line) => write!(f, "Line({:?}, {} bytes)", line.stream, line.text.len()),
            Self::Problem(problem) => write!(f, "Problem({problem:?})"),
        }
    }
}

/// Why frames do not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The stream broke, or ended in the middle of a frame.
    #[error("{operation}: the stream broke")]
    Broken {
        /// What was being done.
        operation: &'static str,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// A kind of frame that this release does not know. To pass over it is safe.
    #[error("read frame: the kind {0} is unknown")]
    Unknown(u8),
    /// The other side does not speak in frames.
    #[error("read frame: {problem}")]
    Malformed {
        /// What is wrong.
        problem: String,
    },
}

pub(super) fn malformed(problem: impl Into<String>) -> FrameError {
    FrameError::Malformed { problem: problem.into() }
}

impl Frame {
    /// The frame of a message, such as one of a WebSocket.
    ///
    /// # Errors
    /// `Unknown` or `Malformed`.
    pub fn from_message(message: &[u8]) -> Result<Self, FrameError> {
        let (kind, payload) = message.split_first().ok_or_else(|| malformed("the message is empty"))?;
        Self::from_parts(*kind, payload)
    }

    /// The messages that say it: one, none if it has no bytes to carry, or several if it is too long for one.
    pub fn into_messages(self) -> Vec<Vec<u8>> {
        let mut messages = Vec::with_capacity(1);
        self.each_part(|kind, payload| messages.push([&[kind], payload].concat()));
        messages
    }

    /// Whether nothing follows it.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Exit(_) | Self::Problem(_))
    }

    pub(super) fn from_parts(kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        if payload.len() > MOST_PAYLOAD {
            return Err(malformed(format!("a payload has {} bytes, more than {MOST_PAYLOAD}", payload.len())));
        }
        Ok(match kind {
            0 => Self::Input(payload.to_vec()),
            1 => Self::InputEnd,
            2 => Self::Output(payload.to_vec()),
            3 => Self::Errors(payload.to_vec()),
            4 => match *payload {
                [a, b, c, d, ..] => {
                    let (rows, columns) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    Self::Resize(TerminalSize { rows, columns })
                }
                _ => return Err(malformed("a size has fewer than 4 bytes")),
            },
            5 => Self::Signal(decode_word("signal", text(payload)?).map_err(|error| unreadable(&error))?),
            6 => Self::Exit(decode("exit", text(payload)?).map_err(|error| unreadable(&error))?),
            7 => Self::Line(decode("log line", text(payload)?).map_err(|error| unreadable(&error))?),
            8 => Self::Problem(text(payload)?.to_owned()),
            other => return Err(FrameError::Unknown(other)),
        })
    }

    /// Calls `give` with the kind and the payload of each frame it takes to say this.
    pub(super) fn each_part(self, mut give: impl FnMut(u8, &[u8])) {
        match self {
            Self::Input(bytes) => bytes.chunks(MOST_PAYLOAD).for_each(|chunk| give(0, chunk)),
            Self::InputEnd => give(1, &[]),
            Self::Output(bytes) => bytes.chunks(MOST_PAYLOAD).for_each(|chunk| give(2, chunk)),
            Self::Errors(bytes) => bytes.chunks(MOST_PAYLOAD).for_each(|chunk| give(3, chunk)),
            Self::Resize(TerminalSize { rows, columns }) => {
                give(4, &[rows.to_be_bytes(), columns.to_be_bytes()].concat());
            }
            Self::Signal(signal) => give(5, encode_word("signal", &signal).unwrap_or_default().as_bytes()),
            Self::Exit(exit) => give(6, exit_text(exit).as_bytes()),
            Self::Line(line) => line_texts(line).iter().for_each(|text| give(7, text.as_bytes())),
            Self::Problem(problem) => give(8, cut(&problem, MOST_PAYLOAD).as_bytes()),
        }
    }
}

fn text(payload: &[u8]) -> Result<&str, FrameError> {
    str::from_utf8(payload).map_err(|_| malformed("a payload that is text is not UTF-8"))
}

fn unreadable(error: &crate::wire::WireError) -> FrameError {
    malformed(crate::error::Chain(error).to_string())
}

/// As much of `text` as fits into so many bytes.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

// Numbers, words and text: there is nothing in an exit, a signal or a line that has no form.

fn exit_text(exit: Exit) -> String {
    let exit = match exit {
        Exit::OutOfDisk { reason } => Exit::OutOfDisk { reason: cut(&reason, SAFE_TEXT).to_owned() },
        Exit::NotStarted { reason } => Exit::NotStarted { reason: cut(&reason, SAFE_TEXT).to_owned() },
        other => other,
    };
    encode("exit", &exit).unwrap_or_default()
}

/// A line is as long as the program that wrote it likes.
fn line_texts(line: LogLine) -> Vec<String> {
    let written = |line: &LogLine| encode("log line", line).unwrap_or_default();
    let whole = written(&line);
    if whole.len() <= MOST_PAYLOAD {
        return vec![whole];
    }
    let mut texts = Vec::new();
    let mut rest = line.text.as_str();
    while !rest.is_empty() {
        let piece = cut(rest, SAFE_TEXT);
        rest = &rest[piece.len()..];
        texts.push(written(&LogLine { text: piece.to_owned(), at: line.at, stream: line.stream.clone() }));
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::arbitrary::link::{frame, line};

    proptest! {
        #[test]
        fn frames_round_trip(frame in frame()) {
            let messages = frame.clone().into_messages();
            let read: Vec<Frame> = messages.iter().map(|message| Frame::from_message(message).unwrap()).collect();
            prop_assert_eq!(read, vec![frame]);
        }

        #[test]
        fn long_output_is_cut_and_nothing_is_lost(bytes in proptest::collection::vec(any::<u8>(), 0..4), times in 0..80_000_usize) {
            let long = bytes.repeat(times);
            let mut read = Vec::new();
            for message in Frame::Output(long.clone()).into_messages() {
                prop_assert!(message.len() <= MOST_PAYLOAD + 1);
                let Frame::Output(part) = Frame::from_message(&message).unwrap() else { panic!("another frame") };
                read.extend(part);
            }
            prop_assert!(read == long);
        }

        #[test]
        fn long_lines_are_cut_and_nothing_is_lost(line in line(), unit in "[\\x00-\\x7f\u{e9}\u{1f600}]{1,3}", times in 0..60_000_usize) {
            let long = LogLine { text: unit.repeat(times), ..line };
            let mut read = String::new();
            for message in Frame::Line(long.clone()).into_messages() {
                prop_assert!(message.len() <= MOST_PAYLOAD + 1);
                let Frame::Line(part) = Frame::from_message(&message).unwrap() else { panic!("another frame") };
                prop_assert_eq!((part.at, &part.stream), (long.at, &long.stream));
                read.push_str(&part.text);
            }
            prop_assert!(read == long.text);
        }

        #[test]
        fn long_reasons_fit(unit in "[\\x00-\\x7f\u{1f600}]{1,3}", times in 0..60_000_usize) {
            let reason = unit.repeat(times);
            for frame in [Frame::Problem(reason.clone()), Frame::Exit(Exit::NotStarted { reason: reason.clone() })] {
                let messages = frame.into_messages();
                prop_assert_eq!(messages.len(), 1);
                prop_assert!(messages[0].len() <= MOST_PAYLOAD + 1);
                let (Frame::Problem(read) | Frame::Exit(Exit::NotStarted { reason: read })) = Frame::from_message(&messages[0]).unwrap() else {
                    panic!("another frame")
                };
                prop_assert!(reason.starts_with(&read));
                prop_assert!(read.len() + 4 > SAFE_TEXT.min(reason.len()));
            }
        }

        #[test]
        fn no_message_panics(message in proptest::collection::vec(any::<u8>(), 0..60), kind in 0..10_u8) {
            let _ = (Frame::from_message(&message), Frame::from_parts(kind, &message));
        }
    }

    #[test]
    fn frames_keep_their_bytes() {
        let check = |frame: Frame, message: &[u8]| {
            assert_eq!(frame.clone().into_messages(), [message]);
            assert_eq!(Frame::from_message(message).unwrap(), frame);
        };
        check(Frame::Input(b"ls".to_vec()), b"\0ls");
        check(Frame::InputEnd, b"\x01");
        check(Frame::Output(b"a".to_vec()), b"\x02a");
        check(Frame::Errors(b"b".to_vec()), b"\x03b");
        check(Frame::Resize(TerminalSize { rows: 24, columns: 300 }), b"\x04\0\x18\x01\x2c");
        check(Frame::Signal(Signal::Usr1), b"\x05usr1");
        check(Frame::Exit(Exit::Code(3)), b"\x06{\"type\":\"code\",\"code\":3}");
        check(Frame::Problem("no".into()), b"\x08no");
        assert!(matches!(Frame::from_message(b"\x63later"), Err(FrameError::Unknown(0x63))));
        for bad in [&b""[..], b"\x04\0\x18\x01", b"\x05later", b"\x06{}", b"\x08\xff"] {
            assert!(matches!(Frame::from_message(bad), Err(FrameError::Malformed { .. })), "{bad:?}");
        }
    }

    #[test]
    fn what_passes_through_is_not_shown() {
        assert_eq!(format!("{:?}", Frame::Input(b"hunter2".to_vec())), "Input(7 bytes)");
    }
}
