//! The way to the server breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::client::{Credential, Endpoint, RemoteOptions, RemoteStore};
use flynn_core::noun::{App, AppId, Team, TeamId};
use flynn_core::port::{Committed, EventLog, Store, TailError};
use flynn_core::server::peer::PeerOptions;
use flynn_core::{
    Batch, Change, Ids, MemoryStore, Principal, Revision, Scope, StoreError, SystemClock, Timestamp, View,
};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::harness::{Server, routes};

const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for an answer, short enough to wait for.
const BRIEF: Duration = Duration::from_millis(500);

/// A server that answers each connection with the same bytes, and then hangs up or falls silent.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy)]
pub(crate) enum Then {
    HangUp,
    Silence,
}

impl Scripted {
    pub(crate) async fn start(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answer) = (listener.local_addr().unwrap(), answer.into());
        let task = tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4_096]).await;
                let _ = stream.write_all(&answer).await;
                match then {
                    Then::HangUp => drop(stream.shutdown().await),
                    Then::Silence => silent.push(stream),
                }
            }
        });
        Self { address, task }
    }

    /// One that answers with these lines.
    pub(crate) async fn lines(lines: &str, then: Then) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
        Self::start(format!("{head}{lines}"), then).await
    }

    pub(crate) fn client(&self) -> RemoteStore {
        client(self.address)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn client(address: SocketAddr) -> RemoteStore {
    let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
    let options = RemoteOptions { deadline: BRIEF, patience: BRIEF, longest: 1 << 20 };
    RemoteStore::connect_with(endpoint, Credential::Socket, options).unwrap()
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unavailable { source, .. }) => source.to_string(),
        other => panic!("expected to be unavailable, got {other:?}"),
    }
}

async fn end_of_tail(store: &RemoteStore) -> String {
    let mut tail = store.tail(Scope::All, Revision::ZERO);
    match tokio::time::timeout(PATIENCE, tail.next()).await.expect("the tail hangs") {
        Some(Err(TailError::Unavailable(source))) => source.to_string(),
        other => panic!("expected to be unavailable, got {other:?}"),
    }
}

async fn all_unavailable(store: &RemoteStore, problem: &str) {
    for text in [
        unavailable(store.snapshot(Scope::All).await),
        unavailable(store.commit(Batch::new(Principal::System)).await),
        unavailable(store.commit(Batch::new(Principal::System).idempotent("k", [0; 32])).await),
        end_of_tail(store).await,
    ] {
        assert!(text.contains(problem), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_meets_the_deadline() {
    let hanging = Scripted::start("", Then::Silence).await;
    let started = tokio::time::Instant::now();
    all_unavailable(&hanging.client(), "gave no answer within 500ms").await;
    assert!(started.elapsed() < 8 * BRIEF, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_cannot_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let store = client(address);
    assert!(unavailable(store.snapshot(Scope::All).await).contains("cannot be reached"));
    assert!(end_of_tail(&store).await.contains("cannot be reached"));
    let directory = tempfile::tempdir().unwrap();
    let nowhere = RemoteStore::connect(Endpoint::unix(directory.path().join("none")), Credential::Socket).unwrap();
    let error = nowhere.snapshot(Scope::All).await.unwrap_err();
    let mut chain = vec![error.to_string()];
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        chain.push(cause.to_string());
        next = cause.source();
    }
    let chain = chain.join(": ");
    assert!(chain.contains("unix://") && chain.contains("No such file"), "{chain}");
}

#[tokio::test]
async fn what_is_not_a_store_is_unavailable() {
    for status in ["502 Bad Gateway", "404 Not Found", "302 Found"] {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 9\r\nconnection: close\r\n\r\n<p>no</p>");
        let other = Scripted::start(answer, Then::HangUp).await;
        all_unavailable(&other.client(), "is not a store").await;
    }
    let other = Scripted::start("SSH-2.0-other\r\n", Then::HangUp).await;
    assert!(unavailable(other.client().snapshot(Scope::All).await).contains("broke off"));
}

const FIRST: &str = "{\"type\":\"commit\",\"revision\":1,\"at\":2,\"events\":0}\n";

#[tokio::test]
async fn a_tail_that_breaks_off_says_so_and_gives_no_half_commit() {
    for (rest, problem) in [
        ("{\"type\":\"commit\",\"revi", "in the middle of a line"),
        ("", "before the last line"),
        ("{\"type\":\"commit\",\"revision\":2,\"at\":2,\"events\":2}\n{\"type\":\"opaque\"}\n", "before the last line"),
        ("{\"type\":\"commit\",\"revision\":1,\"at\":2,\"events\":0}\n", "out of order"),
        ("{\"type\":\"opaque\"}\n", "out of order"),
        ("what\n", "makes no sense"),
        ("\u{0}\n", "makes no sense"),
    ] {
        let server = Scripted::lines(&format!("{FIRST}{rest}"), Then::HangUp).await;
        let mut tail = server.client().tail(Scope::All, Revision::ZERO);
        assert_eq!(tail.next().await.unwrap().unwrap().revision, Revision::new(1));
        match tail.next().await {
            Some(Err(TailError::Unavailable(source))) => assert!(source.to_string().contains(problem), "{source}"),
            other => panic!("{rest:?}: {other:?}"),
        }
        assert!(tail.next().await.is_none());
    }
}

#[tokio::test]
async fn a_tail_that_falls_silent_is_given_up() {
    for rest in ["", "{\"type\":\"commit\""] {
        let server = Scripted::lines(&format!("{FIRST}{rest}"), Then::Silence).await;
        let mut tail = server.client().tail(Scope::All, Revision::ZERO);
        assert!(tail.next().await.unwrap().is_ok());
        match tokio::time::timeout(PATIENCE, tail.next()).await.unwrap() {
            Some(Err(TailError::Unavailable(source))) => assert!(source.to_string().contains("was silent"), "{source}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_line_or_answer_without_end_is_not_kept() {
    let endless = "x".repeat(3 << 20);
    let lines = Scripted::lines(&endless, Then::Silence).await;
    assert!(end_of_tail(&lines.client()).await.contains("a line of more than 1048576 bytes"));
    assert!(unavailable(lines.client().snapshot(Scope::All).await).contains("a line of more than 1048576 bytes"));
    let answered = lines.client().commit(Batch::new(Principal::System)).await;
    assert!(unavailable(answered).contains("an answer of more than 1048576 bytes"));
}

/// Passes connections on to `server`, but hangs up on the first instead of passing its answer back.
async fn losing_the_first_answer(server: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        for number in 0.. {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(server).await.unwrap();
            if number > 0 {
                let _ = copy_bidirectional(&mut client, &mut server).await;
                continue;
            }
            let (mut from_client, mut answer) = (vec![0; 4_096], [0; 1]);
            loop {
                tokio::select! {
                    read = client.read(&mut from_client) => {
                        server.write_all(&from_client[..read.unwrap()]).await.unwrap();
                    }
                    _ = server.read(&mut answer) => break,
                }
            }
        }
    });
    (address, task)
}

fn creation(number: u64) -> Batch {
    let id: TeamId = Ids::seeded(number).next(Timestamp::EPOCH);
    let team = Team { name: format!("team-{number}").parse().unwrap() };
    Batch::new(Principal::System).with(Change::create(id, TeamId::SYSTEM, team))
}

/// Serves `store` to everybody on loopback.
async fn open_to_all(store: Arc<MemoryStore>, listener: TcpListener) -> JoinHandle<()> {
    struct Everybody;
    #[async_trait::async_trait]
    impl flynn_core::server::Authenticator for Everybody {
        async fn authenticate(
            &self,
            _: &axum::http::request::Parts,
        ) -> Result<flynn_core::server::Caller, flynn_core::server::AuthError> {
            Ok(flynn_core::server::Caller::Trusted)
        }
    }
    let presence = Arc::new(flynn_core::MemoryPresence::default());
    let samples = Arc::new(flynn_core::MemorySamples::default());
    let routes =
        flynn_core::server::peer::router(store, presence, samples, Arc::new(Everybody), PeerOptions::default());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() })
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_only_where_that_is_safe() {
    let store = Arc::new(MemoryStore::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = open_to_all(store.clone(), listener).await;

    let (lossy, proxy) = losing_the_first_answer(address).await;
    let endpoint: Endpoint = format!("http://{lossy}").parse().unwrap();
    let remote = RemoteStore::connect(endpoint, Credential::Socket).unwrap();
    let committed = remote.commit(creation(1).idempotent("once", [1; 32])).await.unwrap();
    assert_eq!((committed.revision, committed.replayed), (Revision::new(1), true));
    proxy.abort();

    let (lossy, proxy) = losing_the_first_answer(address).await;
    let endpoint: Endpoint = format!("http://{lossy}").parse().unwrap();
    let remote = RemoteStore::connect(endpoint, Credential::Socket).unwrap();
    assert!(unavailable(remote.commit(creation(2)).await).contains("broke off"));
    let snapshot = store.snapshot(Scope::All).await.unwrap();
    assert_eq!((snapshot.revision, snapshot.objects.count::<Team>()), (Revision::new(2), 2), "it was applied");
    proxy.abort();
    server.abort();
}

/// A server with all its connections, which can be killed.
fn start(store: Arc<MemoryStore>, address: SocketAddr) -> (Runtime, SocketAddr) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (sender, bound) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let listener = TcpListener::bind(address).await.unwrap();
        sender.send(listener.local_addr().unwrap()).unwrap();
        let _ = open_to_all(store, listener).await.await;
    });
    (runtime, bound.recv_timeout(PATIENCE).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_right_again_after_its_server_was_killed() {
    let store = Arc::new(MemoryStore::default());
    let (server, address) = start(store.clone(), "127.0.0.1:0".parse().unwrap());
    let remote = Arc::new(client(address));
    let (view, follower) = View::open(remote.clone(), Scope::All).await.unwrap();
    let follower = tokio::spawn(follower.run());
    let sees = async |committed: Committed| {
        let seen = tokio::time::timeout(PATIENCE, view.wait_for(committed.revision)).await.unwrap().unwrap();
        assert_eq!(seen, store.snapshot(Scope::All).await.unwrap());
    };
    sees(remote.commit(creation(1)).await.unwrap()).await;
    server.shutdown_background();
    unavailable(remote.commit(creation(2)).await);
    for number in 3..10 {
        store.commit(creation(number)).await.unwrap();
    }
    let (server, _) = start(store.clone(), address);
    sees(store.commit(creation(10)).await.unwrap()).await;
    sees(remote.commit(creation(11)).await.unwrap()).await;
    follower.abort();
    server.shutdown_background();
}

#[tokio::test]
async fn the_socket_and_the_port_serve_the_same_store() {
    let store = Arc::new(MemoryStore::default());
    let server = Server::start(routes(store.clone(), Arc::new(SystemClock), PeerOptions::default())).await;
    let committed = server.trusted().commit(creation(1)).await.unwrap();
    assert_eq!(store.snapshot(Scope::All).await.unwrap().revision, committed.revision);
    assert!(server.trusted().snapshot(Scope::App(AppId::NIL)).await.unwrap().objects.count::<App>() == 0);
}
