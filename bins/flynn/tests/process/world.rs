//! A cluster with a controller and a node, and a user with a home directory of their own.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Extension, Request};
use axum::middleware::map_request;
use axum::serve::IncomingStream;
use flynn_build::source::{Intake, SourceTree};
use flynn_core::api::Problem;
use flynn_core::local::FileKeyRing;
use flynn_core::name::HostPattern;
use flynn_core::port::{BlobReader, Blobs};
use flynn_core::server::api::{ApiOptions, ApiState, Edge, SourceIntake, router};
use flynn_core::server::{FirstOf, PeerUid, SocketAuthenticator, TokenAuthenticator};
use flynn_core::value::Digest;
use flynn_core::{AppId, Clock, MemoryBlobs, MemoryPresence, MemoryStore, Retention, Scope, SystemClock, View};
use flynn_sched::{Config, Controller};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::links::Links;
use crate::node;

#[derive(Debug, Clone, Copy)]
struct Uid(u32);

impl Connected<IncomingStream<'_, UnixListener>> for Uid {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().unwrap().uid())
    }
}

/// Takes uploads in as the platform does.
struct Sources {
    blobs: Arc<dyn Blobs>,
    spool: PathBuf,
}

#[async_trait]
impl SourceIntake for Sources {
    async fn take(&self, _: AppId, archive: BlobReader) -> Result<Digest, Problem> {
        let tree = SourceTree::receive(archive, &Intake::new(&self.spool)).await;
        let tree = tree.map_err(|error| Problem::invalid("body", error.to_string()))?;
        let blob = tree.store(&*self.blobs).await.map_err(|error| Problem::invalid("body", error.to_string()))?;
        Ok(blob.digest)
    }
}

/// A cluster. What runs ends when it is dropped.
pub(crate) struct World {
    pub(crate) tcp: SocketAddr,
    pub(crate) socket: PathBuf,
    pub(crate) files: TempDir,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Longer than any command of a test takes.
const PATIENCE: Duration = Duration::from_secs(40);

impl World {
    pub(crate) async fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        for folder in ["home", "spool", "source"] {
            std::fs::create_dir(files.path().join(folder)).unwrap();
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Arc::new(MemoryStore::new(clock.clone(), Retention::default()));
        let (view, follower) = View::open(store.clone(), Scope::All).await.unwrap();
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::new(clock.clone()));
        let presence = Arc::new(MemoryPresence::new(clock.clone()));
        let own = std::fs::metadata("/proc/self").unwrap().uid();
        let mut options = ApiOptions::new(HostPattern::new("apps.example").unwrap());
        options.edge = Some(Edge::http(8080));
        let routes = router(ApiState {
            store: store.clone(),
            events: store.clone(),
            view,
            history: store.clone(),
            presence: presence.clone(),
            key_ring: Arc::new(FileKeyRing::create(files.path().join("keys"), clock.now()).unwrap()),
            blobs: blobs.clone(),
            sources: Arc::new(Sources { blobs: blobs.clone(), spool: files.path().join("spool") }),
            links: Arc::new(Links::new(store.clone())),
            authenticator: Arc::new(FirstOf(TokenAuthenticator::new(store.clone()), SocketAuthenticator::new(own))),
            clock: clock.clone(),
            options,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = listener.local_addr().unwrap();
        let socket = files.path().join("api.sock");
        let unix = UnixListener::bind(&socket).unwrap();
        let local = with_uid(routes.clone());
        let controller = Controller::new(store.clone(), presence.clone(), clock, Config::new("test"));
        let tasks = vec![
            tokio::spawn(async move { drop(follower.run().await) }),
            tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }),
            tokio::spawn(async move { axum::serve(unix, local).await.unwrap() }),
            tokio::spawn(async move { controller.run(std::future::pending()).await.unwrap() }),
            tokio::spawn(node::serve(store, presence, blobs)),
        ];
        Self { tcp, socket, files, tasks }
    }

    /// A cluster whose administrator has logged in.
    pub(crate) async fn with_login() -> Self {
        let world = Self::start().await;
        let (socket, url) = (world.socket.display().to_string(), world.url());
        world.flynn(["login", "--socket", &socket, "--url", &url]).await.ok();
        world
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.tcp)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.files.path().join("home/clusters.toml")
    }

    /// The directory that commands are run in.
    pub(crate) fn source(&self) -> PathBuf {
        self.files.path().join("source")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::write(self.source().join(path), text).unwrap();
    }

    /// A command with the user's environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let home = self.files.path().join("home");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", &home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("FLYNN_CONFIG", self.config())
            .current_dir(self.source())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the program in the source directory.
    pub(crate) async fn flynn<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Ended {
        self.flynn_with(words, "").await
    }

    /// Runs the program with something on its standard input.
    pub(crate) async fn flynn_with<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>, input: &str) -> Ended {
        let mut command = self.command(program());
        command.args(words);
        finish(command, input).await
    }

    /// Runs git in the source directory.
    pub(crate) async fn git(&self, words: &[&str]) -> Ended {
        let mut command = self.command("git");
        command.args(words);
        finish(command, "").await
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_flynn"))
}

pub(crate) async fn finish(mut command: Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let fed = async move {
        // A program that does not read its input closes it.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
    };
    let both = async { tokio::join!(fed, child.wait_with_output()).1.unwrap() };
    let output = timeout(PATIENCE, both).await.expect("the command does not end");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

impl Ended {
    /// What it printed, if all went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.code == 0 && self.err.is_empty(), "{self:?}");
        self.out
    }

    /// The one JSON document it printed.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The one line it printed as its error.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert!(self.code == code && self.err.lines().count() == 1, "{self:?}");
        self.err
    }
}

fn with_uid(routes: Router) -> axum::extract::connect_info::IntoMakeServiceWithConnectInfo<Router, Uid> {
    let with_uid = routes.layer(map_request(
        async |Extension(ConnectInfo(Uid(uid))): Extension<ConnectInfo<Uid>>, mut request: Request| {
            request.extensions_mut().insert(PeerUid(uid));
            request
        },
    ));
    with_uid.into_make_service_with_connect_info::<Uid>()
}
