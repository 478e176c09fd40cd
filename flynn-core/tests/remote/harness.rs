//! A store served on a loopback port and a unix socket, and its clients.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Extension, Request};
use axum::middleware::map_request;
use axum::serve::IncomingStream;
use flynn_core::client::{Credential, Endpoint, RemoteStore};
use flynn_core::conformance::{StoreHarness, token_secret};
use flynn_core::election::{Campaign, Epoch, Seat};
use flynn_core::noun::TokenId;
use flynn_core::port::{
    ArchiveQuery, Archived, AuditRecord, Committed, Cursor, Elections, EventLog, History, Page, Snapshot, Store, Tail,
};
use flynn_core::server::peer::{PeerOptions, router};
use flynn_core::server::{FirstOf, PeerUid, SocketAuthenticator, TokenAuthenticator};
use flynn_core::sqlite::{SqliteOptions, SqliteStore};
use flynn_core::{
    Batch, Clock, MemoryPresence, MemorySamples, MemoryStore, Principal, Retention, Revision, Scope, StoreError,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

/// The user that this test runs as.
pub(crate) fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

#[derive(Debug, Clone, Copy)]
struct Uid(u32);

impl Connected<IncomingStream<'_, UnixListener>> for Uid {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().unwrap().uid())
    }
}

/// The routes of a store, as a host would mount them.
pub(crate) fn routes<S>(store: Arc<S>, clock: Arc<dyn Clock>, options: PeerOptions) -> Router
where
    S: Store + EventLog + History + Elections + 'static,
{
    let tokens = TokenAuthenticator::new(store.clone()).with_clock(clock.clone());
    let authenticator = Arc::new(FirstOf(tokens, SocketAuthenticator::new(own_uid())));
    let presence = Arc::new(MemoryPresence::new(clock.clone()));
    let samples = Arc::new(MemorySamples::new(clock.clone(), 100, Duration::from_secs(3_600)));
    router(store, presence, samples, authenticator, options.with_clock(clock))
}

/// What listens; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) tcp: SocketAddr,
    pub(crate) socket: PathBuf,
    tasks: [JoinHandle<()>; 2],
    directory: Option<TempDir>,
}

impl Server {
    pub(crate) async fn start(routes: Router) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut server = Self::on(routes, tcp, directory.path().join("peer.sock")).await;
        server.directory = Some(directory);
        server
    }

    pub(crate) async fn on(routes: Router, listener: TcpListener, socket: PathBuf) -> Self {
        let tcp = listener.local_addr().unwrap();
        let unix = UnixListener::bind(&socket).unwrap();
        let with_uid = routes.clone().layer(map_request(
            async |Extension(ConnectInfo(Uid(uid))): Extension<ConnectInfo<Uid>>, mut request: Request| {
                request.extensions_mut().insert(PeerUid(uid));
                request
            },
        ));
        let with_uid = with_uid.into_make_service_with_connect_info::<Uid>();
        let tasks = [
            tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }),
            tokio::spawn(async move { axum::serve(unix, with_uid).await.unwrap() }),
        ];
        Self { tcp, socket, tasks, directory: None }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        format!("http://{}", self.tcp).parse().unwrap()
    }

    /// A client that is trusted.
    pub(crate) fn trusted(&self) -> RemoteStore {
        RemoteStore::connect(Endpoint::unix(&self.socket), Credential::Socket).unwrap()
    }

    /// The client of a token that a suite made.
    pub(crate) fn bearer(&self, token: TokenId) -> RemoteStore {
        RemoteStore::connect(self.endpoint(), Credential::Token(token_secret(token))).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A store as its clients see it: each bearer comes with its own token, everybody else over the socket.
pub(crate) struct Remote {
    pub(crate) server: Server,
    pub(crate) trusted: RemoteStore,
    bearers: Mutex<HashMap<TokenId, RemoteStore>>,
    _files: Option<TempDir>,
}

impl Remote {
    pub(crate) async fn serve<S>(store: Arc<S>, files: Option<TempDir>, clock: Arc<dyn Clock>) -> Self
    where
        S: Store + EventLog + History + Elections + 'static,
    {
        let server = Server::start(routes(store, clock, PeerOptions::default())).await;
        let trusted = server.trusted();
        Self { server, trusted, bearers: Mutex::default(), _files: files }
    }

    fn of(&self, principal: Principal) -> RemoteStore {
        match principal {
            Principal::Bearer(token) => {
                let mut bearers = self.bearers.lock().unwrap();
                bearers.entry(token).or_insert_with(|| self.server.bearer(token)).clone()
            }
            _ => self.trusted.clone(),
        }
    }
}

#[async_trait]
impl Store for Remote {
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError> {
        self.trusted.snapshot(scope).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.of(batch.principal).commit(batch).await
    }
}

impl EventLog for Remote {
    fn tail(&self, scope: Scope, after: Revision) -> Tail {
        self.trusted.tail(scope, after)
    }
}

#[async_trait]
impl History for Remote {
    async fn archived(&self, query: ArchiveQuery, cursor: Cursor, limit: usize) -> Result<Page<Archived>, StoreError> {
        self.trusted.archived(query, cursor, limit).await
    }

    async fn audit(&self, cursor: Cursor, limit: usize) -> Result<Page<AuditRecord>, StoreError> {
        self.trusted.audit(cursor, limit).await
    }
}

#[async_trait]
impl Elections for Remote {
    async fn campaign(&self, seat: Seat, holder: &str, term: Duration) -> Result<Campaign, StoreError> {
        self.trusted.campaign(seat, holder, term).await
    }

    async fn resign(&self, seat: Seat, epoch: Epoch) -> Result<(), StoreError> {
        self.trusted.resign(seat, epoch).await
    }
}

/// Serves what a function opens.
pub(crate) struct OverHttp<F>(pub(crate) F);

#[async_trait]
impl<F, R> StoreHarness for OverHttp<F>
where
    F: Fn(Arc<dyn Clock>, Retention) -> R + Send + Sync,
    R: Future<Output = Remote> + Send,
{
    type Store = Remote;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<Remote> {
        Arc::new((self.0)(clock, retention).await)
    }
}

pub(crate) async fn in_memory(clock: Arc<dyn Clock>, retention: Retention) -> Remote {
    Remote::serve(Arc::new(MemoryStore::new(clock.clone(), retention)), None, clock).await
}

pub(crate) async fn in_file(clock: Arc<dyn Clock>, retention: Retention) -> Remote {
    let directory = tempfile::tempdir().unwrap();
    let options =
        SqliteOptions::new(directory.path().join("store.db")).with_clock(clock.clone()).with_retention(retention);
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    Remote::serve(store, Some(directory), clock).await
}
