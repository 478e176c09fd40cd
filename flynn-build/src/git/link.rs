//! The connection of a hook: the other end of [`hook::run`](super::hook::run).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::driver::Shared;
use super::handler::{Push, PushOutput, Rejection};
use super::locks::Lock;
use super::push::{Handling, Pushing};
use super::rules::{Decision, RefChange, judge};
use super::{Branch, Deployed, hook, pkt};
use crate::source::SourceError;

/// How long a hook may take to say its secret.
const GREETING: Duration = Duration::from_secs(10);
/// The most refs or options of one push.
const MOST_LINES: usize = 1_000;

/// Serves a hook to its end.
pub(crate) async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let Ok(Ok(secret)) = timeout(GREETING, read_secret(&mut reader)).await else {
        return;
    };
    let Some(pushing) = shared.pushes.find(&secret) else {
        tracing::warn!("git service: a hook of no push under way was turned away");
        return;
    };
    let link = Link { shared, pushing, output: Output::new(writer) };
    if let Err(error) = link.converse(&mut reader).await {
        let app = link.pushing.context.app;
        tracing::warn!(%app, error = &error as &dyn std::error::Error, "git service: the hook of a push broke off");
    }
}

async fn read_secret(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<String> {
    let mut line = String::new();
    reader.take(100).read_line(&mut line).await?;
    Ok(line.trim_end_matches('\n').to_owned())
}

struct Link {
    shared: Arc<Shared>,
    pushing: Arc<Pushing>,
    output: Output,
}

/// A push that was deployed, and what has to be held until git has moved its branch.
struct Done {
    deployed: Deployed,
    lock: Lock,
    handling: Handling,
}

impl Link {
    /// Speaks the proc-receive protocol (githooks, "proc-receive").
    async fn converse(&self, reader: &mut BufReader<OwnedReadHalf>) -> io::Result<()> {
        let greeting = read_lines(reader).await?;
        let greeting = greeting.first().map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default();
        let offered: Vec<_> = greeting.split_once('\0').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let mut answer = Vec::new();
        let takes_options = offered.contains(&"push-options");
        pkt::put(&mut answer, if takes_options { b"version=1\0push-options" } else { b"version=1" });
        answer.extend(pkt::FLUSH);
        self.output.frame(hook::TO_GIT, &answer).await;

        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "git sent a ref that cannot be read");
        let lines = read_lines(reader).await?;
        let changes: Vec<_> =
            lines.iter().map(|line| RefChange::parse(line).ok_or_else(wrong)).collect::<Result<_, _>>()?;
        let options = if takes_options { read_lines(reader).await? } else { Vec::new() };
        let options: Vec<_> = options.iter().map(|option| String::from_utf8_lossy(option).into_owned()).collect();

        let mut report = Vec::new();
        let mut done = None;
        let decisions = judge(&changes, &self.shared.settings.branches, offered.contains(&"atomic"));
        for (change, decision) in changes.iter().zip(decisions) {
            let outcome = match decision {
                Decision::Refuse(reason) => Err(Rejection::new(reason)),
                Decision::Deploy(branch) => self.deploy(branch, change, options.clone()).await,
            };
            match outcome {
                Ok(push) => {
                    pkt::put(&mut report, format!("ok {}", change.name).as_bytes());
                    // Git moves the ref itself, since it also knows what to do about a shallow history.
                    pkt::put(&mut report, b"option fall-through");
                    done = Some(push);
                }
                Err(rejection) => pkt::put(&mut report, format!("ng {} {rejection}", change.name).as_bytes()),
            }
        }
        report.extend(pkt::FLUSH);
        self.output.frame(hook::TO_GIT, &report).await;
        self.output.frame(hook::EXIT, &[0]).await;
        if let Some(done) = done {
            self.settle(done).await;
        }
        Ok(())
    }

    async fn deploy(&self, branch: Branch, change: &RefChange, options: Vec<String>) -> Result<Done, Rejection> {
        let context = self.pushing.context;
        let repositories = &self.shared.repositories;
        let busy = || Rejection::new("another push to this app is being deployed, try again when it is over");
        let lock = repositories.lock(context.app).ok_or_else(busy)?;
        let handling = self.pushing.handle().ok_or_else(|| Rejection::new("the pusher has gone"))?;
        // Git compares this too, but only when it moves the branch, which is after the deploy.
        match repositories.tip(context.app, &branch).await {
            Ok(tip) if tip.as_ref() == change.seen() => {}
            Ok(_) => return Err(Rejection::new(format!("{branch} has moved since this push began, push again"))),
            Err(error) => return Err(internal(&error)),
        }
        let commit = change.new.clone();
        match repositories.is_commit(context.app, &commit).await {
            Ok(true) => {}
            Ok(false) => return Err(Rejection::new("it is not a commit")),
            Err(error) => return Err(internal(&error)),
        }
        let source = match repositories.tree(context.app, &commit, &self.shared.settings.intake).await {
            Ok(source) => source,
            Err(error @ (SourceError::Invalid { .. } | SourceError::TooLarge { .. })) => {
                self.output.line(&error.to_string()).await;
                return Err(Rejection::new(error.to_string()));
            }
            Err(error) => return Err(internal(&error)),
        };
        let push = Push {
            app: context.app,
            principal: context.principal,
            branch: branch.clone(),
            commit: commit.clone(),
            source,
            options,
        };
        let released = self.shared.handler.receive(push, &self.output).await?;
        self.output.line(&released.summary).await;
        Ok(Done { deployed: Deployed { branch, commit }, lock, handling })
    }

    /// Makes the branch tell what is deployed, even if git was killed before it could move it.
    async fn settle(&self, done: Done) {
        self.pushing.git_ended().await;
        let app = self.pushing.context.app;
        if let Err(error) = self.shared.repositories.point(app, Some(&done.deployed)).await {
            // The release stands. The branch is repaired when the service starts the next time.
            let error = &error as &dyn std::error::Error;
            tracing::error!(%app, error, "git service: the deployed branch could not be set");
        }
        drop(done.lock);
        drop(done.handling);
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Rejection {
    tracing::error!(error, "git service: a push could not be read");
    Rejection::new("the git service could not read the push, try again later")
}

async fn read_lines(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    while let Some(line) = pkt::read(reader).await? {
        if lines.len() == MOST_LINES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too many refs or options in one push"));
        }
        lines.push(line.strip_suffix(b"\n").unwrap_or(&line).to_vec());
    }
    Ok(lines)
}

/// Sends frames to the hook until it has gone.
struct Output {
    writer: Mutex<OwnedWriteHalf>,
    gone: AtomicBool,
}

impl Output {
    fn new(writer: OwnedWriteHalf) -> Self {
        Self { writer: Mutex::new(writer), gone: AtomicBool::new(false) }
    }

    async fn frame(&self, kind: u8, content: &[u8]) {
        let mut writer = self.writer.lock().await;
        for part in content.chunks(hook::MOST_FRAME) {
            if self.gone.load(Ordering::Relaxed) {
                return;
            }
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes();
            let [a, b, c, d] = length;
            let frame = [&[kind, a, b, c, d], part].concat();
            if writer.write_all(&frame).await.is_err() {
                // Nobody reads any more. The push goes on.
                self.gone.store(true, Ordering::Relaxed);
            }
        }
    }
}

#[async_trait]
impl PushOutput for Output {
    async fn line(&self, text: &str) {
        let text = text.trim_end_matches(['\n', '\r']);
        self.frame(hook::TO_PUSHER, format!("{text}\n").as_bytes()).await;
    }
}
