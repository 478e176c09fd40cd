//! A client of HTTP/2 that writes and reads frames, well-formed or not.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::secured::Secured;
use crate::rig::soon;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a reset or of the end of a connection.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A length as HPACK has it (RFC 7541 §5.1), with a prefix of seven bits.
fn length(value: usize) -> Vec<u8> {
    if value < 127 {
        return vec![u8::try_from(value).unwrap()];
    }
    let (mut bytes, mut rest) = (vec![127], value - 127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A field that is written out in full.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &length(name.len()), name.as_bytes(), &length(value.len()), value.as_bytes()].concat()
}

/// `GET https://a.example/`, from the static table but for the authority.
pub(crate) fn get() -> Vec<u8> {
    [&[0x82, 0x87, 0x84, 0x01][..], &length("a.example".len()), b"a.example"].concat()
}

pub(crate) fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

pub(crate) struct Frames {
    pub(crate) stream: TlsStream<TcpStream>,
}

impl Frames {
    pub(crate) async fn connect(secured: &Secured) -> Self {
        let config = Arc::new(secured.authority.client(&["h2"]));
        Self { stream: secured.connect(&config, "a.example").await.unwrap() }
    }

    /// A connection with these settings, of which the server's were read.
    pub(crate) async fn open(secured: &Secured, settings: &[u8]) -> (Self, Frame) {
        let mut frames = Self::connect(secured).await;
        frames.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.write(&frame(SETTINGS, 0, 0, settings)).await;
        let theirs = frames.wait_for(|frame| frame.kind == SETTINGS && frame.flags & ACK == 0).await;
        frames.write(&frame(SETTINGS, ACK, 0, &[])).await;
        (frames, theirs)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, stream: u32) {
        self.write(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &get())).await;
    }

    /// The next frame; none at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.stream.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        soon(self.stream.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    pub(crate) async fn wait_for(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let mut others = Vec::new();
        while let Some(frame) = self.next().await {
            if wanted(&frame) {
                return frame;
            }
            others.push(frame);
        }
        panic!("the connection ended after {others:?}");
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}
