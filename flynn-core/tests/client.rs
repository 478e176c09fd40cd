//! The typed client against the API's own server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports by panicking")]

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::{Extension, Router};
use flynn_core::api::{AppChange, AppQuery, ConfigChange, Login, NewApp, NewBuild, NewToken, PageQuery, Problem};
use flynn_core::client::{Api, ApiError, ApiOptions, Credential, Endpoint};
use flynn_core::local::FileKeyRing;
use flynn_core::name::HostPattern;
use flynn_core::port::{BlobReader, Blobs, Duplex, LinkError, LinkRequest, NodeLink};
use flynn_core::server::api::{ApiState, SourceIntake, router};
use flynn_core::server::{FirstOf, PeerUid, SocketAuthenticator, TokenAuthenticator};
use flynn_core::value::Digest;
use flynn_core::{AppId, Clock, MemoryBlobs, MemoryPresence, MemoryStore, NodeId, Retention, Scope, SystemClock, View};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

struct Uploads(Arc<dyn Blobs>);

#[async_trait]
impl SourceIntake for Uploads {
    async fn take(&self, _: AppId, archive: BlobReader) -> Result<Digest, Problem> {
        let stored = self.0.put(archive, None).await;
        stored.map(|blob| blob.digest).map_err(|error| Problem::invalid("body", error.to_string()))
    }
}

struct NoLinks;

#[async_trait]
impl NodeLink for NoLinks {
    async fn open(&self, node: NodeId, _: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        Err(LinkError::Unreachable(node))
    }
}

/// A server on a loopback port. It takes who has no token for the user of a socket.
struct Server {
    tcp: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
    _files: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Server {
    async fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Arc::new(MemoryStore::new(clock.clone(), Retention::default()));
        let (view, follower) = View::open(store.clone(), Scope::All).await.unwrap();
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::new(clock.clone()));
        let own = std::fs::metadata("/proc/self").unwrap().uid();
        let routes: Router = router(ApiState {
            store: store.clone(),
            events: store.clone(),
            view,
            history: store.clone(),
            presence: Arc::new(MemoryPresence::new(clock.clone())),
            key_ring: Arc::new(FileKeyRing::create(files.path().join("keys"), clock.now()).unwrap()),
            blobs: blobs.clone(),
            sources: Arc::new(Uploads(blobs)),
            links: Arc::new(NoLinks),
            authenticator: Arc::new(FirstOf(TokenAuthenticator::new(store.clone()), SocketAuthenticator::new(own))),
            clock,
            options: flynn_core::server::api::ApiOptions::new(HostPattern::new("apps.example").unwrap()),
        });
        let routes = routes.layer(Extension(PeerUid(own)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = listener.local_addr().unwrap();
        let tasks = vec![
            tokio::spawn(async move { drop(follower.run().await) }),
            tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }),
        ];
        Self { tcp, tasks, _files: files }
    }

    /// The administrator, by a token.
    async fn admin(&self) -> Api {
        let trusted = Api::connect(at(self.tcp), Credential::Socket).unwrap();
        let issued = trusted.login(&Login::default()).await.unwrap();
        Api::connect(at(self.tcp), Credential::Token(issued.secret.parse().unwrap())).unwrap()
    }
}

fn at(address: SocketAddr) -> Endpoint {
    format!("http://{address}").parse().unwrap()
}

fn named(name: &str) -> NewApp {
    NewApp { name: Some(name.into()), team: None }
}

fn page(page: PageQuery) -> AppQuery {
    AppQuery { team: None, cursor: page.cursor, limit: page.limit }
}

#[tokio::test]
async fn an_app_lives_and_is_configured() {
    let server = Server::start().await;
    let api = server.admin().await;
    let app = api.create_app(&named("web")).await.unwrap();
    assert_eq!((app.name.as_str(), app.hosts.as_slice()), ("web", &["web.apps.example".to_owned()][..]));
    assert_eq!(api.app("web").await.unwrap(), api.app(&app.id.to_string()).await.unwrap());

    let values = [("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), Some("2".to_owned()))];
    api.change_config("web", &ConfigChange { values: values.into() }).await.unwrap();
    api.change_config("web", &ConfigChange { values: [("B".to_owned(), None)].into() }).await.unwrap();
    assert_eq!(api.config("web").await.unwrap().values, [("A".to_owned(), Some("1".to_owned()))].into());

    let build = NewBuild { commit: Some("0123abc".into()) };
    let build = api.create_build("web", &build, &[0; 1_024][..], 1_024).await.unwrap();
    assert_eq!((build.number, build.commit.as_deref()), (1, Some("0123abc")));
    assert_eq!(api.build("web", 1).await.unwrap().id, build.id);
    api.cancel_build("web", 1).await.unwrap();
    assert_eq!(api.destroy_app("web", "web").await.unwrap().state, "destroying");
}

#[tokio::test]
async fn a_list_is_read_over_all_its_pages() {
    let server = Server::start().await;
    let api = server.admin().await;
    for number in 0..205 {
        api.create_app(&named(&format!("app-{number:03}"))).await.unwrap();
    }
    let first = api.apps(&AppQuery { limit: Some(2), ..AppQuery::default() }).await.unwrap();
    assert_eq!((first.items.len(), first.next.is_some()), (2, true));
    let all = Api::collect(1_000, async |query| api.apps(&page(query)).await).await.unwrap();
    let names: Vec<_> = all.iter().map(|app| app.name.clone()).collect();
    assert_eq!(names, (0..205).map(|number| format!("app-{number:03}")).collect::<Vec<_>>());
    assert_eq!(Api::collect(3, async |query| api.apps(&page(query)).await).await.unwrap().len(), 3);
}

#[tokio::test]
async fn refusals_say_what_the_caller_can_do() {
    let server = Server::start().await;
    let api = server.admin().await;
    let app = api.create_app(&named("web")).await.unwrap();
    let taken = api.create_app(&named("web")).await.unwrap_err();
    assert!(matches!(&taken, ApiError::Conflict { .. }) && taken.problem().unwrap().code == "taken", "{taken}");
    let invalid = api.create_app(&named("No Name")).await.unwrap_err();
    assert!(matches!(&invalid, ApiError::Invalid { .. }) && invalid.problem().unwrap().errors[0].field == "name");
    assert!(matches!(api.app("nothing").await, Err(ApiError::NotFound { .. })));

    let change = AppChange { maintenance: Some(true), ..AppChange::default() };
    let next = api.expecting(app.version).change_app("web", &change).await.unwrap();
    assert!(next.version > app.version);
    let stale = api.expecting(app.version).change_app("web", &change).await.unwrap_err();
    assert!(matches!(&stale, ApiError::Conflict { .. }) && stale.problem().unwrap().code == "stale", "{stale}");

    let token = NewToken { label: "ci".into(), app: Some("web".into()), ..NewToken::default() };
    let issued = api.create_token(&token).await.unwrap();
    let secret = Credential::Token(issued.secret.parse().unwrap());
    let narrow = Api::connect(at(server.tcp), secret).unwrap();
    assert!(matches!(narrow.create_app(&named("other")).await, Err(ApiError::NotAllowed { .. })));
    api.revoke_token(issued.token.id).await.unwrap();
    assert!(matches!(narrow.app("web").await, Err(ApiError::Unauthenticated { .. })));
}

#[tokio::test]
async fn a_path_is_never_left_by_a_name() {
    let server = Server::start().await;
    let api = server.admin().await;
    api.create_app(&named("web")).await.unwrap();
    for name in ["web/config", "..", ".", "web?x", "web#x", "%77eb", "", "a b", "ä"] {
        assert!(matches!(api.app(name).await, Err(ApiError::NotFound { .. })), "{name}");
        assert!(matches!(api.config(name).await, Err(ApiError::NotFound { .. })), "{name}");
    }
}

/// Passes connections on to a server, and breaks the first one after the request has arrived and was answered.
async fn breaking(server: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut upstream = TcpStream::connect(server).await.unwrap();
        let mut buffer = vec![0; 64 << 10];
        let asked = client.read(&mut buffer).await.unwrap();
        upstream.write_all(&buffer[..asked]).await.unwrap();
        assert!(upstream.read(&mut buffer).await.unwrap() > 0);
        drop((client, upstream));
        while let Ok((mut client, _)) = listener.accept().await {
            let mut upstream = TcpStream::connect(server).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut upstream).await });
        }
    });
    (address, task)
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_made_once() {
    let server = Server::start().await;
    let admin = server.admin().await;
    let token = NewToken { label: "second way".into(), ..NewToken::default() };
    let issued = admin.create_token(&token).await.unwrap();
    let (broken, proxy) = breaking(server.tcp).await;
    let api = Api::connect(at(broken), Credential::Token(issued.secret.parse().unwrap())).unwrap();
    let app = api.create_app(&named("web")).await.unwrap();
    assert_eq!(admin.app("web").await.unwrap().id, app.id);
    proxy.abort();
}

/// Answers every connection with a text.
async fn answering(text: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut buffer = vec![0; 64 << 10];
            let _ = client.read(&mut buffer).await;
            let _ = client.write_all(text.as_bytes()).await;
            let _ = client.shutdown().await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn what_is_not_this_api_is_told_from_what_is_not_there() {
    let options = ApiOptions { longest: 1_000, ..ApiOptions::default() };
    let connect = |address| Api::connect_with(at(address), Credential::Socket, options.clone()).unwrap();
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ] {
        let (address, task) = answering(text).await;
        let error = connect(address).app("web").await.unwrap_err();
        assert!(matches!(error, ApiError::Failed { .. }), "{text}: {error}");
        task.abort();
    }
    let (address, task) = answering("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n").await;
    let error = connect(address).app("web").await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }), "an answer that breaks off: {error}");
    task.abort();

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = connect(closed).app("web").await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ApiOptions { deadline: Duration::from_millis(200), ..ApiOptions::default() };
    let api = Api::connect_with(at(listener.local_addr().unwrap()), Credential::Socket, options).unwrap();
    let error = api.app("web").await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }) && error.to_string().contains("no answer"), "{error}");
}
