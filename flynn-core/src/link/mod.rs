//! What goes over the way to a node: terminals, pipes and logs as frames.
//!
//! Whoever opened the way sends [`Input`](Frame::Input), [`InputEnd`](Frame::InputEnd),
//! [`Resize`](Frame::Resize) and [`Signal`](Frame::Signal). The node sends [`Output`](Frame::Output),
//! [`Errors`](Frame::Errors) and [`Line`](Frame::Line); what it sends for a process ends with exactly one
//! [`Exit`](Frame::Exit) or [`Problem`](Frame::Problem). Logs that are not followed end with the stream, or
//! with a `Problem`.
//!
//! # On a byte stream
//!
//! Each frame is a byte for its kind, the length of its payload as four bytes, the highest first, and the payload
//! of at most [64 KiB](MOST_PAYLOAD). A [`FrameWriter`] cuts what is longer into several frames, a
//! [`FrameReader`] passes over kinds it does not know.
//!
//! | Kind | Frame | Payload |
//! |---|---|---|
//! | 0 | `Input` | the bytes |
//! | 1 | `InputEnd` | none |
//! | 2 | `Output` | the bytes |
//! | 3 | `Errors` | the bytes |
//! | 4 | `Resize` | rows and columns, two bytes each, the higher first |
//! | 5 | `Signal` | `term`, `kill`, `int`, `hup`, `quit`, `usr1` or `usr2` |
//! | 6 | `Exit` | JSON: `{"type":"code","code":0}`, `{"type":"signal","signal":9}`, `{"type":"out_of_memory"}` or `{"type":"not_started","reason":"…"}` |
//! | 7 | `Line` | JSON: `{"at":0,"stream":{"type":"output","job":"…"},"text":"…"}` |
//! | 8 | `Problem` | text in UTF-8 |
//!
//! # Over a WebSocket
//!
//! One binary message is one frame: the byte for its kind, then the payload.

mod frame;
#[cfg(any(feature = "client", feature = "server"))]
mod silence;
mod stream;

pub use frame::{Frame, FrameError, MOST_PAYLOAD};
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) use silence::Silence;
pub use stream::{FrameReader, FrameWriter};
