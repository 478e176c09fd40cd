//! One request that git serves, from the first byte of its body to the last of its answer.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use flynn_core::BoxError;
use futures::future::{FutureExt, join};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::command::with_args;
use super::driver::Shared;
use super::oversize::Commands;
use super::places::Place;
use super::process::GroupGuard;
use super::push::Pushing;
use super::request::Program;
use super::{PushContext, hook};

pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;
type Reply = mpsc::Sender<Result<Bytes, BoxError>>;

/// What a client says when it fetches: ids of commits, as many as it has.
const MOST_FETCH_BYTES: u64 = 64 << 20;
/// As much of git's own complaints as goes into our log.
const MOST_COMPLAINT: usize = 4 << 10;

/// A request on its way to git.
pub(crate) struct Session {
    pub(crate) program: Program,
    pub(crate) context: PushContext,
    pub(crate) protocol: Option<String>,
    pub(crate) declared: Option<u64>,
    pub(crate) upload: Upload,
    pub(crate) reply: Reply,
    /// Held until git has ended.
    pub(crate) _place: Place,
}

/// How the conversation with git came to an end.
enum End {
    /// Git has closed its output.
    Answered,
    /// The client went away, and there is nothing to finish.
    Gone,
    /// The client sends more than is allowed.
    TooLarge,
}

impl Session {
    pub(crate) async fn run(mut self, shared: Arc<Shared>) {
        let mut commands = Commands::default();
        let limit = self.upload.limit;
        if self.declared.is_some_and(|bytes| bytes > limit) {
            while !commands.is_done() {
                match self.upload.next().await {
                    Ok(Some(part)) => commands.push(&part),
                    _ => return,
                }
            }
            return self.refuse_oversize(&commands).await;
        }
        match self.converse(&shared, &mut commands).await {
            Ok(End::Answered | End::Gone) => {}
            Ok(End::TooLarge) => self.refuse_oversize(&commands).await,
            Err(error) => {
                let app = self.context.app;
                tracing::error!(%app, error = &error as &dyn std::error::Error, "git service: git could not be run");
                let _ = self.reply.send(Err("git could not be run".into())).await;
            }
        }
    }

    async fn converse(&mut self, shared: &Shared, commands: &mut Commands) -> io::Result<End> {
        let registered = (self.program == Program::ReceivePack).then(|| shared.pushes.register(self.context));
        let pushing = registered.as_ref().map(|registered| registered.pushing.clone());
        let path = shared.repositories.path(self.context.app);
        let args = [self.program.subcommand(), "--stateless-rpc", "."];
        let mut command = with_args(shared.git.command(&path), args);
        command.stdin(Stdio::piped());
        if let Some(protocol) = &self.protocol {
            command.env("GIT_PROTOCOL", protocol);
        }
        if let Some(registered) = &registered {
            command.env(hook::SOCKET, shared.settings.socket()).env(hook::SECRET, &registered.secret);
        }
        let is_push = registered.is_some();
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        let mut group = GroupGuard::new(&child);
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };

        let patience = shared.settings.patience;
        let (end, complaint) = {
            let feeding = feed(&mut self.upload, stdin, commands).fuse();
            let answering = join(answer(stdout, &self.reply, pushing.as_deref(), patience), complain(stderr));
            tokio::pin!(feeding, answering);
            loop {
                tokio::select! {
                    fed = &mut feeding => match fed {
                        Ok(()) => {}
                        Err(UploadError::TooLarge) => break (End::TooLarge, String::new()),
                        Err(UploadError::Gone) => {
                            if pushing.as_ref().is_none_or(|pushing| pushing.abandon()) {
                                break (End::Gone, String::new());
                            }
                        }
                    },
                    (end, complaint) = &mut answering => {
                        // A client that still sends would take the end of the answer for a broken connection.
                        if matches!(end, End::Answered) && !futures::future::FusedFuture::is_terminated(&*feeding) {
                            tokio::select! {
                                _ = &mut feeding => {}
                                () = self.reply.closed() => {}
                            }
                        }
                        break (end, complaint);
                    }
                }
            }
        };
        if !matches!(end, End::Answered) {
            group.kill();
        }
        let ended = child.wait().await;
        group.disarm();
        if is_push {
            shared.repositories.touch(self.context.app);
        }
        let status = ended?;
        if matches!(end, End::Answered) && !status.success() {
            let (app, program) = (self.context.app, self.program.name());
            tracing::warn!(%app, program, %status, complaint = complaint.trim(), "git service: git failed");
        }
        if let Some(registered) = registered {
            registered.finish().await;
        }
        Ok(end)
    }

    /// Says in the lines of the refs that the push is too large, and then waits for the client to stop sending: one
    /// that cannot send does not read either.
    async fn refuse_oversize(mut self, commands: &Commands) {
        let limit = self.upload.limit;
        if self.program == Program::UploadPack {
            let _ = self.reply.send(Err("the request is too large".into())).await;
            return;
        }
        let reason = format!("the push is larger than {}", megabytes(limit));
        let _ = self.reply.send(Ok(commands.refusal(&reason).into())).await;
        self.upload.limit = limit.saturating_mul(4).max(64 << 20);
        loop {
            tokio::select! {
                part = self.upload.next() => if !matches!(part, Ok(Some(_))) { return },
                () = self.reply.closed() => return,
            }
        }
    }
}

fn megabytes(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        whole => format!("{whole} MiB"),
    }
}

/// Moves the body of the request to git. When git listens no more, the rest is thrown away.
async fn feed(upload: &mut Upload, stdin: ChildStdin, commands: &mut Commands) -> Result<(), UploadError> {
    let mut stdin = Some(stdin);
    while let Some(part) = upload.next().await? {
        commands.push(&part);
        if let Some(pipe) = &mut stdin
            && pipe.write_all(&part).await.is_err()
        {
            stdin = None;
        }
    }
    Ok(())
}

/// Moves what git prints to the client, at once, as long as the client is there.
async fn answer(mut stdout: ChildStdout, reply: &Reply, pushing: Option<&Pushing>, patience: Duration) -> End {
    let ends_with_client = || pushing.is_none_or(Pushing::abandon);
    let mut buffer = BytesMut::new();
    let mut is_there = true;
    loop {
        buffer.reserve(32 << 10);
        let read = if is_there {
            tokio::select! {
                read = stdout.read_buf(&mut buffer) => read,
                () = reply.closed() => {
                    if ends_with_client() {
                        return End::Gone;
                    }
                    is_there = false;
                    continue;
                }
            }
        } else {
            stdout.read_buf(&mut buffer).await
        };
        if matches!(read, Ok(0) | Err(_)) {
            return End::Answered;
        }
        let part = buffer.split().freeze();
        if is_there && !matches!(timeout(patience, reply.send(Ok(part))).await, Ok(Ok(()))) {
            if ends_with_client() {
                return End::Gone;
            }
            is_there = false;
        }
    }
}

/// The beginning of what git says on its standard error, all of which is read.
async fn complain(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let room = MOST_COMPLAINT.saturating_sub(text.len());
        text.extend(buffer.iter().take(count.min(room)));
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The body of a request, decompressed and measured.
pub(crate) struct Upload {
    body: RequestBody,
    gunzip: Option<MultiGzDecoder<Vec<u8>>>,
    taken: u64,
    limit: u64,
    patience: Duration,
}

/// Why the rest of a body is not to be had.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The client stopped, or sends what it did not announce.
    Gone,
    /// It is more than is allowed.
    TooLarge,
}

impl Upload {
    pub(crate) fn new(body: RequestBody, is_gzip: bool, program: Program, shared: &Shared) -> Self {
        let limit = match program {
            Program::ReceivePack => shared.settings.most_push_bytes,
            Program::UploadPack => MOST_FETCH_BYTES,
        };
        let gunzip = is_gzip.then(|| MultiGzDecoder::new(Vec::new()));
        Self { body, gunzip, taken: 0, limit, patience: shared.settings.patience }
    }

    /// The next part, never empty; none at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, UploadError> {
        use std::io::Write;

        loop {
            let frame = timeout(self.patience, self.body.frame()).await.map_err(|_| UploadError::Gone)?;
            let part = match (frame, &mut self.gunzip) {
                (Some(Err(_)), _) => return Err(UploadError::Gone),
                (None, Some(gunzip)) => {
                    gunzip.try_finish().map_err(|_| UploadError::Gone)?;
                    let rest = std::mem::take(gunzip.get_mut());
                    self.gunzip = None;
                    Bytes::from(rest)
                }
                (None, None) => return Ok(None),
                (Some(Ok(frame)), gunzip) => match (frame.into_data(), gunzip) {
                    (Err(_trailers), _) => continue,
                    (Ok(data), None) => data,
                    (Ok(data), Some(gunzip)) => {
                        gunzip.write_all(&data).map_err(|_| UploadError::Gone)?;
                        Bytes::from(std::mem::take(gunzip.get_mut()))
                    }
                },
            };
            self.taken = self.taken.saturating_add(part.len() as u64);
            if self.taken > self.limit {
                return Err(UploadError::TooLarge);
            }
            if !part.is_empty() {
                return Ok(Some(part));
            }
        }
    }
}
