//! Nodes whose processes are pipes that the test holds.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::Response;
use flynn_core::client::{Credential, Endpoint, RemoteOptions, link};
use flynn_core::port::{Duplex, LinkError, LinkHandler, LinkRequest};
use flynn_core::server::link::{LinkOptions, Links};
use flynn_core::{JobId, NodeId};
use tokio::io::{AsyncRead, DuplexStream, ReadBuf, ReadHalf};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::site::{Site, authenticator, until};

pub(crate) async fn linked(options: LinkOptions) -> (Site, Links) {
    let (site, links, _) = watched(options).await;
    (site, links)
}

/// Like [`linked`], with the count of those who dialled and were turned away for who they are.
pub(crate) async fn watched(options: LinkOptions) -> (Site, Links, TurnedAway) {
    let mut links = None;
    let turned_away = TurnedAway::default();
    let count = turned_away.0.clone();
    let site = Site::new(|world| {
        let links = links.insert(Links::new(options.with_clock(world.clock.clone())));
        links.routes(world.store.clone(), authenticator(world)).layer(map_response(move |answer: Response| {
            if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            std::future::ready(answer)
        }))
    })
    .await;
    (site, links.unwrap(), turned_away)
}

/// How often somebody was turned away.
#[derive(Debug, Clone, Default)]
pub(crate) struct TurnedAway(Arc<AtomicUsize>);

impl TurnedAway {
    /// Waits until somebody who dials from here on was turned away, has dialled again and was turned away again.
    pub(crate) async fn twice_more(&self) {
        let before = self.0.load(Ordering::SeqCst);
        until("they were turned away", async || self.0.load(Ordering::SeqCst) >= before + 2).await;
    }
}

pub(crate) fn attach() -> LinkRequest {
    LinkRequest::Attach(JobId::NIL)
}

type Opened = (LinkRequest, DuplexStream);

/// Opens a pipe for each request and hands the other end to the test.
pub(crate) struct Pipes {
    opened: mpsc::Receiver<Opened>,
    shared: Arc<Shared>,
}

struct Shared {
    opened: mpsc::Sender<Opened>,
    refusals: Mutex<Vec<LinkError>>,
    hold: watch::Sender<bool>,
    held: Semaphore,
    holding: AtomicUsize,
    count: AtomicUsize,
    open: Arc<AtomicUsize>,
}

impl Pipes {
    pub(crate) fn new() -> Self {
        let (sender, opened) = mpsc::channel(1_000);
        let shared = Shared {
            opened: sender,
            refusals: Mutex::default(),
            hold: watch::Sender::new(false),
            held: Semaphore::new(0),
            holding: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            open: Arc::default(),
        };
        Self { opened, shared: Arc::new(shared) }
    }

    /// The next that was opened.
    pub(crate) async fn next(&mut self) -> Opened {
        tokio::time::timeout(Duration::from_secs(20), self.opened.recv()).await.expect("a request").unwrap()
    }

    pub(crate) fn drain(&mut self) {
        while self.opened.try_recv().is_ok() {}
    }

    pub(crate) async fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// How many pipes are held on the agent's side.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The next request is answered with this.
    pub(crate) fn refuse(&self, error: LinkError) {
        self.shared.refusals.lock().unwrap().push(error);
    }

    /// Whether requests are held back unanswered.
    pub(crate) fn hold(&self, hold: bool) {
        self.shared.hold.send_replace(hold);
    }

    /// Waits until so many more requests are held back.
    pub(crate) async fn held(&self, count: u32) {
        self.shared.held.acquire_many(count).await.unwrap().forget();
    }

    /// Waits until no request is held back any more.
    pub(crate) async fn let_go(&self) {
        until("what was held back is let go of", async || self.shared.holding.load(Ordering::SeqCst) == 0).await;
    }
}

struct Holding<'a>(&'a AtomicUsize);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A pipe that says when it is dropped.
struct Counted(ReadHalf<DuplexStream>, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl LinkHandler for Shared {
    async fn open(&self, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        if *self.hold.borrow() {
            self.holding.fetch_add(1, Ordering::SeqCst);
            let _holding = Holding(&self.holding);
            self.held.add_permits(1);
            self.hold.subscribe().wait_for(|hold| !*hold).await.unwrap();
        }
        if let Some(error) = self.refusals.lock().unwrap().pop() {
            return Err(error);
        }
        let (near, far) = tokio::io::duplex(4_096);
        self.count.fetch_add(1, Ordering::SeqCst);
        self.opened.try_send((request, far)).unwrap();
        self.open.fetch_add(1, Ordering::SeqCst);
        let (reader, writer) = tokio::io::split(near);
        Ok(Box::new(tokio::io::join(Counted(reader, self.open.clone()), writer)))
    }
}

/// An agent's side of the link.
pub(crate) struct Agent {
    pub(crate) pipes: Pipes,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Agent {
    /// One that has dialled.
    pub(crate) async fn start(place: (Endpoint, Credential), node: NodeId, links: &Links) -> Self {
        let agent = Self::dial(place, node);
        until("the node is linked", async || links.nodes().contains(&node)).await;
        agent
    }

    pub(crate) fn dial(place: (Endpoint, Credential), node: NodeId) -> Self {
        Self::dial_with(place, node, Pipes::new())
    }

    pub(crate) fn dial_with(place: (Endpoint, Credential), node: NodeId, pipes: Pipes) -> Self {
        Self::patient(place, node, pipes, RemoteOptions::default())
    }

    pub(crate) fn patient(
        (endpoint, credential): (Endpoint, Credential),
        node: NodeId,
        pipes: Pipes,
        options: RemoteOptions,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let handler = pipes.shared.clone();
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            link::serve(endpoint, credential, options, node, handler, stopped).await.unwrap();
        });
        Self { pipes, stop, task }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("it stops").unwrap();
    }
}
