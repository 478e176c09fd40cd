//! Answers without an end of their own: events, and the way to a process.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use reqwest::{Response, Upgraded};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message, protocol::Role, protocol::WebSocketConfig};

use super::ApiError;
use super::sse::{Event, Parser};
use super::transport::{Ask, Transport};
use crate::link::{Frame, FrameError, MOST_PAYLOAD};

/// Reads events as they come.
pub(super) struct Incoming {
    pub(super) transport: Arc<Transport>,
    pub(super) operation: &'static str,
    response: Response,
    parser: Parser,
    ready: VecDeque<Event>,
}

impl Incoming {
    pub(super) async fn open(
        transport: Arc<Transport>,
        operation: &'static str,
        ask: Ask<'_>,
    ) -> Result<Self, ApiError> {
        let response = transport.stream(ask).await?;
        Ok(Self { transport, operation, response, parser: Parser::default(), ready: VecDeque::new() })
    }

    /// The next event; none at the end of the answer. Dropping it while it waits loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, ApiError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Ok(chunk) = timeout(SILENCE, self.response.chunk()).await else {
                return Err(self.transport.silent(self.operation, SILENCE));
            };
            let Some(chunk) = chunk.map_err(|error| self.transport.broken(self.operation, error))? else {
                return Ok(None);
            };
            let mut events = Vec::new();
            let longest = self.transport.options.longest;
            self.parser.take(&chunk, longest, &mut events).map_err(|_| {
                self.transport.foreign(self.operation, format!("sent an event of more than {longest} bytes"))
            })?;
            self.ready.extend(events);
        }
    }
}

/// The server says something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<Upgraded>;

/// A process that was joined. Dropping both halves hangs up.
pub struct Joined {
    /// What it is told.
    pub input: JoinedInput,
    /// What it says.
    pub output: JoinedOutput,
}

/// The half of [`Joined`] by which a process is told something.
pub struct JoinedInput {
    transport: Arc<Transport>,
    operation: &'static str,
    sink: SplitSink<Socket, Message>,
}

/// The half of [`Joined`] by which a process says something.
pub struct JoinedOutput {
    transport: Arc<Transport>,
    operation: &'static str,
    stream: SplitStream<Socket>,
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("operation", &self.input.operation).finish_non_exhaustive()
    }
}

impl fmt::Debug for JoinedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedInput").field("operation", &self.operation).finish_non_exhaustive()
    }
}

impl fmt::Debug for JoinedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedOutput").field("operation", &self.operation).finish_non_exhaustive()
    }
}

impl Joined {
    pub(super) async fn open(
        transport: Arc<Transport>,
        operation: &'static str,
        ask: Ask<'_>,
    ) -> Result<Self, ApiError> {
        let upgraded = transport.upgrade(ask).await?;
        let limits =
            WebSocketConfig::default().max_message_size(Some(2 * MOST_PAYLOAD)).max_frame_size(Some(2 * MOST_PAYLOAD));
        let (sink, stream) = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(limits)).await.split();
        Ok(Self {
            input: JoinedInput { transport: transport.clone(), operation, sink },
            output: JoinedOutput { transport, operation, stream },
        })
    }
}

impl JoinedInput {
    /// Says what is wanted, before everything else.
    pub(super) async fn describe(&mut self, text: String) -> Result<(), ApiError> {
        let sent = self.sink.send(Message::Text(text.into())).await;
        sent.map_err(|error| self.transport.severed(self.operation, error))
    }

    /// Sends `Input`, `InputEnd`, `Resize` or `Signal`; returns when it is on its way.
    ///
    /// # Errors
    /// `Unreachable` if the way broke, also because the process has ended: its output says.
    pub async fn send(&mut self, frame: Frame) -> Result<(), ApiError> {
        for message in frame.into_messages() {
            let sent = self.sink.send(Message::Binary(message.into())).await;
            sent.map_err(|error| self.transport.severed(self.operation, error))?;
        }
        Ok(())
    }
}

impl JoinedOutput {
    /// The next frame; none if the server hung up without a last one. Dropping it while it waits loses nothing.
    ///
    /// # Errors
    /// `Unreachable` if the way broke, `Failed` if what comes makes no sense.
    pub async fn next(&mut self) -> Result<Option<Frame>, ApiError> {
        while let Some(message) = self.stream.next().await {
            let message = match message.map_err(|error| self.transport.severed(self.operation, error))? {
                Message::Binary(message) => message,
                Message::Close(_) => return Ok(None),
                _ => continue,
            };
            match Frame::from_message(&message) {
                Ok(frame) => return Ok(Some(frame)),
                Err(FrameError::Unknown(_)) => {}
                Err(error) => return Err(self.transport.foreign(self.operation, format!("sent no frame: {error}"))),
            }
        }
        Ok(None)
    }
}

impl Transport {
    /// Nothing was heard on the way, not even a heartbeat.
    fn silent(&self, operation: &'static str, span: Duration) -> ApiError {
        let problem = format!("was silent for {span:?}");
        ApiError::Unreachable { operation, endpoint: self.endpoint.to_string(), problem, source: None }
    }

    /// The way broke after it had been opened.
    pub(super) fn severed(&self, operation: &'static str, error: tungstenite::Error) -> ApiError {
        let problem = String::from("broke off");
        ApiError::Unreachable { operation, endpoint: self.endpoint.to_string(), problem, source: Some(error.into()) }
    }
}
