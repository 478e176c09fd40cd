//! A server of the API on a loopback port and a unix socket, and those who ask it.

use std::collections::BTreeMap;
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
use flynn_core::api::Problem;
use flynn_core::conformance::ManualClock;
use flynn_core::local::FileKeyRing;
use flynn_core::name::{AppName, HostPattern, NodeName, ProcessName};
use flynn_core::noun::{
    App, AppStatus, Desired, Job, JobState, JobStatus, Liveness, Node, NodeStatus, ProcessType, Purpose, Release,
    ReleaseCause, Scale, TeamId, Workload,
};
use flynn_core::port::{BlobError, BlobReader, Blobs, Duplex, LinkError, LinkRequest, NodeLink, Store};
use flynn_core::server::api::{ApiOptions, ApiState, SourceIntake, router};
use flynn_core::server::{FirstOf, PeerUid, SocketAuthenticator, TokenAuthenticator};
use flynn_core::value::{Digest, Resources};
use flynn_core::{
    AppId, Batch, Change, Clock, Ids, JobId, MemoryBlobs, MemoryPresence, MemoryStore, NodeId, Principal, ReleaseId,
    Retention, Scope, Timestamp, View,
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy)]
struct Uid(u32);

impl Connected<IncomingStream<'_, UnixListener>> for Uid {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().unwrap().uid())
    }
}

/// Keeps an upload as it is, if it looks like an archive at all.
struct Uploads(Arc<dyn Blobs>);

#[async_trait]
impl SourceIntake for Uploads {
    async fn take(&self, _: AppId, archive: BlobReader) -> Result<Digest, Problem> {
        match self.0.put(archive, None).await {
            Ok(blob) if blob.bytes < 512 => Err(Problem::invalid("body", "it is no tar archive")),
            Ok(blob) => Ok(blob.digest),
            Err(BlobError::Unavailable { source, .. }) => {
                Err(Problem::new(503, "unavailable", "Full", source.to_string()))
            }
            Err(other) => Err(Problem::new(500, "internal", "Internal", other.to_string())),
        }
    }
}

/// No node is connected.
struct NoLinks;

#[async_trait]
impl NodeLink for NoLinks {
    async fn open(&self, node: NodeId, _: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        Err(LinkError::Unreachable(node))
    }
}

/// A served store. What runs ends when it is dropped.
pub(crate) struct Cluster {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) presence: Arc<MemoryPresence>,
    pub(crate) tcp: SocketAddr,
    pub(crate) socket: PathBuf,
    ids: Mutex<Ids>,
    tasks: Vec<JoinHandle<()>>,
    _files: TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn options() -> ApiOptions {
    ApiOptions::new(HostPattern::new("apps.example").unwrap())
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::with(options()).await
    }

    pub(crate) async fn with(options: ApiOptions) -> Self {
        let files = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let store = Arc::new(MemoryStore::new(clock.clone(), Retention::default()));
        let (view, follower) = View::open(store.clone(), Scope::All).await.unwrap();
        let own = std::fs::metadata("/proc/self").unwrap().uid();
        let tokens = TokenAuthenticator::new(store.clone()).with_clock(clock.clone());
        let blobs: Arc<dyn Blobs> = Arc::new(MemoryBlobs::new(clock.clone()));
        let presence = Arc::new(MemoryPresence::new(clock.clone()));
        let routes = router(ApiState {
            store: store.clone(),
            events: store.clone(),
            view,
            history: store.clone(),
            presence: presence.clone(),
            key_ring: Arc::new(FileKeyRing::create(files.path().join("keys"), START).unwrap()),
            blobs: blobs.clone(),
            sources: Arc::new(Uploads(blobs)),
            links: Arc::new(NoLinks),
            authenticator: Arc::new(FirstOf(tokens, SocketAuthenticator::new(own))),
            clock: clock.clone(),
            options,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = listener.local_addr().unwrap();
        let socket = files.path().join("api.sock");
        let unix = UnixListener::bind(&socket).unwrap();
        let with_uid = with_uid(routes.clone());
        let tasks = vec![
            tokio::spawn(async move { drop(follower.run().await) }),
            tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }),
            tokio::spawn(async move { axum::serve(unix, with_uid).await.unwrap() }),
        ];
        let ids = Mutex::new(Ids::seeded(1));
        Self { store, clock, presence, tcp, socket, ids, tasks, _files: files }
    }

    /// Asks over the socket, as who runs the tests.
    pub(crate) fn trusted(&self) -> Asker {
        let client = Client::builder().no_proxy().unix_socket(self.socket.clone()).build().unwrap();
        Asker { client, base: "http://localhost".into(), token: None }
    }

    /// Asks over the network, without a token.
    pub(crate) fn nobody(&self) -> Asker {
        let client = Client::builder().no_proxy().build().unwrap();
        Asker { client, base: format!("http://{}", self.tcp), token: None }
    }

    /// Asks over the network with a token.
    pub(crate) fn bearer(&self, secret: &Value) -> Asker {
        Asker { token: Some(secret.as_str().unwrap().to_owned()), ..self.nobody() }
    }

    /// The first administrator, logged in. There is a team `default` from then on.
    pub(crate) async fn admin(&self) -> Asker {
        let issued = self.trusted().post("/v1/login", json!({})).await.ok();
        self.bearer(&issued["secret"])
    }

    /// A user with a role in a team, which is made if need be.
    pub(crate) async fn member(&self, user: &str, team: &str, role: &str) -> Asker {
        let trusted = self.trusted();
        for (path, name) in [("/v1/teams", team), ("/v1/users", user)] {
            let made = trusted.post(path, json!({ "name": name })).await;
            assert!(made.status == 201 || made.body["code"] == "taken", "{made:?}");
        }
        trusted.put(&format!("/v1/teams/{team}/members/{user}"), json!({ "role": role })).await.ok();
        let issued = trusted.post("/v1/tokens", json!({ "label": "test", "user": user })).await.ok();
        self.bearer(&issued["secret"])
    }

    pub(crate) fn id<N>(&self) -> flynn_core::Id<N> {
        self.ids.lock().unwrap().next(self.clock.now())
    }

    /// Commits as the platform's other parts do.
    pub(crate) async fn commit(&self, changes: impl IntoIterator<Item = Change>) {
        let batch = Batch { changes: changes.into_iter().collect(), ..Batch::new(Principal::System) };
        let revision = self.store.commit(batch).await.unwrap().revision;
        // Reads follow the store, and are asked only when they have come so far.
        let arrived = async {
            while self.nobody().get("/readyz").await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), arrived).await.unwrap();
        assert!(self.store.snapshot(Scope::All).await.unwrap().revision >= revision);
    }

    pub(crate) async fn app_id(&self, name: &str) -> AppId {
        self.trusted().get(&format!("/v1/apps/{name}")).await.ok()["id"].as_str().unwrap().parse().unwrap()
    }

    /// A release with these process types that serves, as if it had been deployed.
    pub(crate) async fn release(&self, app: AppId, number: u64, processes: &[&str]) -> ReleaseId {
        let id: ReleaseId = self.id();
        let team = self.team_of(app).await;
        let types = processes.iter().map(|name| {
            let serve = ProcessType { port: Some(8_080), ..ProcessType::new(vec!["./serve".into()]) };
            (ProcessName::new(name).unwrap(), serve)
        });
        let release = Release {
            app,
            number,
            image: Digest::from_bytes([u8::try_from(number).unwrap(); 32]),
            env: BTreeMap::new(),
            processes: types.collect(),
            cause: ReleaseCause::Image("an upload".into()),
            commit: Some(format!("c{number}")),
            branch: None,
        };
        self.commit([Change::create(id, team, release), Change::report(app, AppStatus { release: Some(id) })]).await;
        id
    }

    async fn team_of(&self, app: AppId) -> TeamId {
        self.store.snapshot(Scope::All).await.unwrap().objects.get::<App>(app).unwrap().team
    }

    pub(crate) async fn node(&self, name: &str) -> NodeId {
        let id: NodeId = self.id();
        let capacity = Resources { cpu_millis: 8_000, memory_bytes: 16 << 30, disk_bytes: 1 << 40, pids: 1 << 20 };
        let status = NodeStatus { liveness: Liveness::Ready, capacity, ..NodeStatus::default() };
        let node = Node::new(NodeName::new(name).unwrap());
        self.commit([Change::create(id, TeamId::SYSTEM, node), Change::report(id, status)]).await;
        id
    }

    /// An instance of a process type that is up.
    pub(crate) async fn job(&self, app: AppId, release: ReleaseId, name: &str, instance: u32, node: NodeId) -> JobId {
        let id: JobId = self.id();
        let team = self.team_of(app).await;
        let process = ProcessName::new(name).unwrap();
        let job = Job {
            app,
            release,
            purpose: Purpose::Service { process, instance, deployment: None },
            workload: Arc::new(Workload {
                app: AppName::new("app").unwrap(),
                release: 1,
                image: Digest::from_bytes([1; 32]),
                process: ProcessType { port: Some(8_080), ..ProcessType::new(vec!["./serve".into()]) },
                env: BTreeMap::new(),
            }),
            resources: Scale::RESOURCES,
            attempt: 0,
            not_before: Timestamp::EPOCH,
            node: Some(node),
            desired: Desired::Up,
        };
        let address = Some("10.0.0.2:8080".parse().unwrap());
        let up = JobState::Up { address, health: flynn_core::noun::Health::Healthy };
        let report = |state| Change::report(id, JobStatus { state, since: START });
        self.commit([Change::create(id, team, job), report(JobState::Assigned), report(up)]).await;
        id
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

/// One who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    client: Client,
    base: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Asker {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::POST, path).body(body.to_string())).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::PUT, path).body(body.to_string())).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::PATCH, path).body(body.to_string())).await
    }

    /// The items of a list.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await.ok()["items"].as_array().unwrap().clone()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

impl Reply {
    /// The document of a request that was granted.
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// The problem of a request that was refused in this way.
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str().unwrap_or_default()), (status, code), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("urn:flynn:problem:{code}"));
        assert_eq!(self.body["request_id"], self.headers["x-request-id"].to_str().unwrap());
        assert!(!self.body["title"].as_str().unwrap().is_empty());
        assert!(!self.body["detail"].as_str().unwrap().is_empty());
        self.body
    }

    pub(crate) fn tag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }
}

/// The texts of `field` in a list.
pub(crate) fn texts(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}
