use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{getegid, geteuid};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use super::command::Git;
use super::locks::Locks;
use super::places::Places;
use super::push::Pushes;
use super::session::Session;
use super::{GitAuthority, GitError, GitService, GitSettings, GitUser, PushHandler, Repositories, link, ownership};

const OPEN: &str = "open git service";

/// What requests and hooks share.
pub(crate) struct Shared {
    pub(crate) settings: Arc<GitSettings>,
    pub(crate) git: Git,
    pub(crate) repositories: Repositories,
    pub(crate) pushes: Pushes,
    pub(crate) places: Places,
    pub(crate) handler: Arc<dyn PushHandler>,
}

/// Does the work of a [`GitService`]: runs git and calls the handler. It does so only while its owner drives
/// [`run`](Self::run); until then requests wait, and once it is dropped they are answered with 503.
#[derive(Debug)]
#[must_use = "nothing is served unless the driver runs"]
pub struct GitDriver {
    sessions: mpsc::Receiver<Session>,
    listener: UnixListener,
    socket: SocketFile,
    shared: Arc<Shared>,
}

/// Opens the service: makes its folders, its hook and its socket. It blocks on the disk for a moment and has to
/// be called within a tokio runtime.
///
/// # Errors
/// `Invalid` for settings that cannot work; `Unavailable` if a folder or the socket cannot be made.
pub fn open(
    settings: GitSettings,
    authority: Arc<dyn GitAuthority>,
    handler: Arc<dyn PushHandler>,
) -> Result<(GitService, GitDriver), GitError> {
    settings.check()?;
    let failed = |error| GitError::unavailable(OPEN, error);
    let listener = prepare(&settings).map_err(failed)?;
    let socket = SocketFile(settings.socket());
    let settings = Arc::new(settings);
    let git = Git::new(settings.clone());
    let repositories = Repositories::new(git.clone(), Locks::default());
    let places = Places::new(settings.most_requests, settings.most_requests_per_app, settings.queue_time);
    let shared = Arc::new(Shared { settings, git, repositories, pushes: Pushes::default(), places, handler });
    let (sender, sessions) = mpsc::channel(64);
    let service = GitService::new(shared.clone(), authority, sender);
    Ok((service, GitDriver { sessions, listener, socket, shared }))
}

impl GitDriver {
    /// Serves until `stop` is ready, then turns requests away and returns when the last push is over. Dropping
    /// it instead kills git and drops the handlers.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut work = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(session) = self.sessions.recv() => drop(work.spawn(session.run(self.shared.clone()))),
                connection = self.listener.accept() => self.greet(connection, &mut work).await,
                Some(ended) = work.join_next() => report(ended),
            }
        }
        self.sessions.close();
        while let Some(session) = self.sessions.recv().await {
            work.spawn(session.run(self.shared.clone()));
        }
        while !work.is_empty() {
            tokio::select! {
                connection = self.listener.accept() => self.greet(connection, &mut work).await,
                Some(ended) = work.join_next() => report(ended),
            }
        }
        drop(self.socket);
    }

    async fn greet(
        &self,
        connection: io::Result<(tokio::net::UnixStream, tokio::net::unix::SocketAddr)>,
        work: &mut JoinSet<()>,
    ) {
        match connection {
            Ok((stream, _)) => drop(work.spawn(link::serve(stream, self.shared.clone()))),
            Err(error) => {
                tracing::error!(%error, "git service: no connection of a hook can be accepted");
                // Such as too many open files: asking again at once would only burn the processor.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "git service: a push ended in a panic");
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The socket in the file system, which goes with its service.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn prepare(settings: &GitSettings) -> io::Result<UnixListener> {
    make_folder(&settings.repositories, 0o700)?;
    make_folder(&settings.runtime, 0o711)?;
    make_folder(&settings.hooks, 0o755)?;
    let hook = settings.hooks.join("proc-receive");
    let script = hook_script(settings);
    if !fs::read(&hook).is_ok_and(|there| there == script) {
        fs::write(&hook, script)?;
    }
    fs::set_permissions(&hook, Permissions::from_mode(0o755))?;
    let socket = settings.socket();
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        let problem = format!("another service listens on {}", socket.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, problem));
    }
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, Permissions::from_mode(0o600))?;
    let own = || GitUser { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    // Git refuses repositories of others, also to root.
    if geteuid().is_root() {
        ownership::give(&settings.repositories, settings.user.unwrap_or_else(own))?;
    }
    if let Some(user) = settings.user {
        chown(&socket, Some(user.uid), Some(user.gid))?;
    }
    Ok(listener)
}

fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn hook_script(settings: &GitSettings) -> Vec<u8> {
    let mut script = b"#!/bin/sh\nexec".to_vec();
    for word in std::iter::once(settings.hook.program.as_os_str()).chain(settings.hook.args.iter().map(|arg| &**arg)) {
        script.push(b' ');
        script.extend(quote(word));
    }
    script.push(b'\n');
    script
}

/// A word that the shell takes as it is.
fn quote(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote(OsStr::new("a b'$(c)")), b"'a b'\\''$(c)'");
    }
}
