//! One WebSocket and the way to its process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Closing;
use super::join::may_join;
use crate::api::NewExec;
use crate::error::Chain;
use crate::link::{Frame, FrameError, FrameReader, FrameWriter, MOST_PAYLOAD};
use crate::name::EnvKey;
use crate::noun::{Exit, JobId, JobState, Terminal};
use crate::port::{Duplex, ExecRequest, LinkError, LinkRequest, TerminalSize};
use crate::rule::{Authority, Denial};
use crate::server::Caller;
use crate::server::api::Api;
use crate::server::api::call::principal;

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Sink = SplitSink<Socket, Message>;

/// How long the client has to say what it wants, and to say goodbye.
const OPENING: Duration = Duration::from_secs(30);
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a job has to come up.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_millis(200);
/// A client that answers no ping for so long is gone.
const PING: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(45);
/// How long the node has to say by itself how a process ended whose job has.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is asked whether the client may still be here.
const JUDGE: Duration = Duration::from_secs(2);
/// What a client sends before its process is there waits; this much.
const MOST_EARLY: usize = 256;

/// What is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The first process of the job.
    First,
    /// A further one, which the client describes.
    Further,
}

/// One WebSocket.
pub(super) struct Session {
    pub(super) api: Arc<Api>,
    pub(super) job: JobId,
    pub(super) target: Target,
    pub(super) closing: Closing,
    pub(super) caller: Caller,
}

/// Why a session ends.
enum End {
    /// The last frame.
    Said(Frame),
    /// The client has hung up, or does not answer.
    HungUp,
    /// The client does not keep to the protocol.
    Wrong(&'static str),
    Closing,
}

impl Session {
    pub(super) async fn run(mut self, upgrade: OnUpgrade) {
        let Ok(Ok(upgraded)) = timeout(OPENING, upgrade).await else { return };
        let limits =
            WebSocketConfig::default().max_message_size(Some(2 * MOST_PAYLOAD)).max_frame_size(Some(2 * MOST_PAYLOAD));
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
        let (mut sink, stream) = socket.split();
        let mut client = Client { stream, early: VecDeque::new() };
        let mut closing = self.closing.clone();
        let denied = denied(self.api.clone(), self.caller, self.job);
        let end = tokio::select! {
            end = self.serve(&mut sink, &mut client) => end,
            () = closing.wait() => End::Closing,
            denial = denied => End::Said(Frame::Problem(denial.to_string())),
        };
        // A client that does not take it has hung up in its way.
        let _ = timeout(FAREWELL, part(end, sink, client)).await;
    }

    async fn serve(&mut self, sink: &mut Sink, client: &mut Client) -> End {
        let request = match self.target {
            Target::First => LinkRequest::Attach(self.job),
            Target::Further => match timeout(OPENING, client.described()).await {
                Ok(Ok(exec)) => LinkRequest::Exec(self.job, exec),
                Ok(Err(end)) => return end,
                Err(_) => return End::Wrong("nothing was said of what to run"),
            },
        };
        let opened = tokio::select! {
            opened = self.open(&request) => opened,
            end = client.wait() => return end,
            end = ping(sink) => return end,
        };
        let way = match opened {
            Ok(way) => way,
            Err(frame) => return End::Said(frame),
        };
        let (reader, writer) = tokio::io::split(way);
        let (mut reader, mut writer) = (FrameReader::new(reader), FrameWriter::new(writer));
        tokio::select! {
            end = client.pass(&mut writer) => end,
            end = outward(&mut reader, sink) => match end {
                Some(end) => end,
                None => End::Said(self.broken().await),
            },
            frame = self.ended() => End::Said(frame),
        }
    }

    /// Opens the way as soon as the job is where it can be opened.
    async fn open(&self, request: &LinkRequest) -> Result<Box<dyn Duplex>, Frame> {
        let began = Instant::now();
        let mut changes = self.api.state.view.changes();
        loop {
            changes.borrow_and_update();
            let problem = match self.state() {
                None => String::from("the job is gone"),
                Some((state, _)) if state.is_end() => return Err(self.last_word(&state)),
                Some((JobState::Pending { reason }, _)) => format!("the job is not placed: {reason}"),
                Some((JobState::Assigned | JobState::Starting, _)) if self.target == Target::Further => {
                    String::from("the job is not up yet")
                }
                Some((_, None)) => String::from("the job is not placed"),
                Some((_, Some(node))) => match self.api.state.links.open(node, request.clone()).await {
                    Ok(way) => return Ok(way),
                    Err(LinkError::Refused { problem }) => return Err(Frame::Problem(problem)),
                    Err(error) => Chain(&error).to_string(),
                },
            };
            if began.elapsed() > PATIENCE {
                return Err(Frame::Problem(problem));
            }
            tokio::select! {
                Ok(()) = changes.changed() => {}
                () = sleep(AGAIN) => {}
            }
        }
    }

    fn state(&self) -> Option<(JobState, Option<crate::noun::NodeId>)> {
        let snapshot = self.api.state.view.snapshot();
        snapshot.objects.get(self.job).map(|job| (job.status.state.clone(), job.spec.node))
    }

    /// What there is to say of a job that has ended.
    fn last_word(&self, state: &JobState) -> Frame {
        match (state, self.target) {
            (JobState::Lost { reason }, _) => Frame::Problem(format!("the job is lost: {reason}")),
            (JobState::Exited(Exit::NotStarted { reason }), Target::Further) => {
                Frame::Problem(format!("the job was not started: {reason}"))
            }
            (JobState::Exited(exit), Target::First) => Frame::Exit(exit.clone()),
            _ => Frame::Problem(String::from("the job has ended")),
        }
    }

    /// Waits for the end of the job, and then for the node to say it.
    async fn ended(&self) -> Frame {
        let mut changes = self.api.state.view.changes();
        loop {
            changes.borrow_and_update();
            match self.state() {
                Some((state @ JobState::Lost { .. }, _)) => return self.last_word(&state),
                Some((state, _)) if state.is_end() => {
                    sleep(GRACE).await;
                    return self.last_word(&state);
                }
                Some(_) => {}
                None => {
                    sleep(GRACE).await;
                    return Frame::Problem(String::from("the job is gone"));
                }
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The way ended without a last word: perhaps the job has one.
    async fn broken(&self) -> Frame {
        let ended = timeout(GRACE * 2, self.ended()).await;
        ended.unwrap_or_else(|_| Frame::Problem(String::from("the connection to the node broke")))
    }
}

/// Waits until the caller may not be here any more, such as with a token that was revoked or has expired.
async fn denied(api: Arc<Api>, caller: Caller, job: JobId) -> Denial {
    loop {
        sleep(JUDGE).await;
        let snapshot = api.state.view.snapshot();
        // What becomes of a client whose job is gone is not a matter of rights.
        let Some(job) = snapshot.objects.get(job) else { continue };
        let authority = Authority::of(principal(caller), &snapshot.objects, api.state.clock.now());
        if let Err(denial) = authority.and_then(|authority| may_join(&authority, job, &snapshot.objects)) {
            return denial;
        }
    }
}

/// Passes frames on to the client until the last. None if there was no last one.
async fn outward(reader: &mut FrameReader<ReadHalf<Box<dyn Duplex>>>, sink: &mut Sink) -> Option<End> {
    let mut ping = interval_at(Instant::now() + PING, PING);
    loop {
        let message = tokio::select! {
            frame = reader.next() => match frame {
                Ok(Some(frame)) if frame.is_end() => return Some(End::Said(frame)),
                Ok(Some(frame)) => frame,
                Ok(None) | Err(_) => return None,
            },
            _ = ping.tick() => {
                match sink.send(Message::Ping(Bytes::new())).await {
                    Ok(()) => continue,
                    Err(_) => return Some(End::HungUp),
                }
            }
        };
        for message in message.into_messages() {
            if sink.send(Message::Binary(message.into())).await.is_err() {
                return Some(End::HungUp);
            }
        }
    }
}

/// Asks the client whether it is there, until it is not.
async fn ping(sink: &mut Sink) -> End {
    let mut ping = interval_at(Instant::now() + PING, PING);
    loop {
        ping.tick().await;
        if sink.send(Message::Ping(Bytes::new())).await.is_err() {
            return End::HungUp;
        }
    }
}

/// Says the last word and closes.
async fn part(end: End, mut sink: Sink, mut client: Client) {
    let (code, reason) = match end {
        End::HungUp => return drop(sink.close().await),
        End::Said(frame) => {
            let code = if let Frame::Exit(_) = frame { CloseCode::Normal } else { CloseCode::Error };
            for message in frame.into_messages() {
                if sink.send(Message::Binary(message.into())).await.is_err() {
                    return;
                }
            }
            (code, "")
        }
        End::Wrong(reason) => (CloseCode::Policy, reason),
        End::Closing => (CloseCode::Away, "the server is shutting down"),
    };
    let _ = sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    // The client's answer, so that what was sent is not lost with the connection.
    while let Some(Ok(_)) = client.stream.next().await {}
}

/// What the client says.
struct Client {
    stream: SplitStream<Socket>,
    /// What it said before its process was there.
    early: VecDeque<Frame>,
}

impl Client {
    /// The next message that is neither a ping nor a pong.
    async fn next(&mut self) -> Result<Message, End> {
        loop {
            match timeout(SILENCE, self.stream.next()).await {
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {}
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return Err(End::HungUp),
                Ok(Some(Ok(message))) => return Ok(message),
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, End> {
        loop {
            let Message::Binary(message) = self.next().await? else {
                return Err(End::Wrong("a message is not binary"));
            };
            match Frame::from_message(&message) {
                Ok(frame @ (Frame::Input(_) | Frame::InputEnd | Frame::Resize(_) | Frame::Signal(_))) => {
                    return Ok(frame);
                }
                Err(FrameError::Unknown(_)) => {}
                _ => return Err(End::Wrong("a message is no frame that a client sends")),
            }
        }
    }

    /// What is to be run.
    async fn described(&mut self) -> Result<ExecRequest, End> {
        let Message::Text(text) = self.next().await? else {
            return Err(End::Wrong("the first message is not text"));
        };
        let said = |problem: String| End::Said(Frame::Problem(problem));
        let wish: NewExec =
            serde_json::from_str(&text).map_err(|error| said(format!("what to run cannot be read: {error}")))?;
        if wish.command.first().is_none_or(String::is_empty) {
            return Err(said(String::from("command: say which program to run")));
        }
        let mut env = BTreeMap::new();
        for (name, value) in wish.env {
            env.insert(EnvKey::new(&name).map_err(|error| said(format!("env: {error}")))?, value);
        }
        let size = wish.rows.zip(wish.columns).map(|(rows, columns)| TerminalSize { rows, columns });
        let terminal = if wish.terminal { Terminal::Pty } else { Terminal::None };
        Ok(ExecRequest { command: wish.command, terminal, env, size })
    }

    /// Takes in what comes while there is nothing to pass it on to, until the client hangs up.
    async fn wait(&mut self) -> End {
        while self.early.len() < MOST_EARLY {
            match self.frame().await {
                Ok(frame) => self.early.push_back(frame),
                Err(end) => return end,
            }
        }
        std::future::pending().await
    }

    /// Passes everything on until the client hangs up.
    async fn pass(&mut self, writer: &mut FrameWriter<WriteHalf<Box<dyn Duplex>>>) -> End {
        let mut deaf = false;
        loop {
            let frame = match self.early.pop_front() {
                Some(frame) => frame,
                None => match self.frame().await {
                    Ok(frame) => frame,
                    Err(end) => return end,
                },
            };
            // A process that takes no more may still have something to say.
            deaf = deaf || writer.write(frame).await.is_err();
        }
    }
}
