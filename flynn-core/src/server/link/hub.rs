use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::LinkOptions;
use super::opened::Opened;
use crate::noun::NodeId;
use crate::port::{Duplex, LinkError, LinkRequest};

/// A node is gone after so many heartbeats without one of its own.
const SILENT_BEATS: u32 = 3;

#[derive(Default)]
pub(super) struct Hub {
    pub(super) options: LinkOptions,
    ways: Mutex<HashMap<NodeId, Arc<Way>>>,
}

/// The way that one node keeps open.
pub(super) struct Way {
    pub(super) session: Uuid,
    requests: mpsc::Sender<(Uuid, LinkRequest)>,
    /// There is something to do besides requests.
    wake: Notify,
    /// The node is not heard any more.
    silent: watch::Sender<bool>,
    state: Mutex<State>,
}

struct State {
    heard: Instant,
    pending: HashMap<Uuid, oneshot::Sender<Claim>>,
    /// What its opener has hung up on, to be told to the node. A way that is replaced has none.
    closed: Option<Vec<Uuid>>,
}

/// What a way is to tell its node.
pub(super) enum Asked {
    Open(Uuid, LinkRequest),
    Close(Uuid),
    Replaced,
}

/// What a node does about a request.
pub(super) type Claim = Result<OnUpgrade, LinkError>;

impl Way {
    /// Whoever waits learns that the way has ended.
    fn end(&self) {
        {
            let mut state = self.state();
            state.closed = None;
            state.pending.clear();
        }
        self.wake.notify_one();
    }

    pub(super) fn close(&self, id: Uuid) {
        if let Some(closed) = &mut self.state().closed {
            closed.push(id);
        }
        self.wake.notify_one();
    }

    /// Turns true when the node is not heard any more.
    pub(super) fn silent(&self) -> watch::Receiver<bool> {
        self.silent.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    pub(super) fn new(options: LinkOptions) -> Self {
        Self { options, ways: Mutex::default() }
    }

    fn ways(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Way>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.ways().iter().filter(|(_, way)| self.is_alive(way)).map(|(node, _)| *node).collect()
    }

    /// Puts a way in place of the one that `node` had; it is there as long as what is returned.
    pub(super) fn register(self: &Arc<Self>, node: NodeId) -> Registration {
        let (requests, asked) = mpsc::channel(self.options.pending);
        let state = Mutex::new(State { heard: Instant::now(), pending: HashMap::new(), closed: Some(Vec::new()) });
        let way = Arc::new(Way {
            session: Uuid::new_v4(),
            requests,
            wake: Notify::new(),
            silent: watch::Sender::new(false),
            state,
        });
        let former = self.ways().insert(node, way.clone());
        if let Some(former) = former {
            former.end();
            tracing::info!(%node, "link: the node has dialled again, and its former way ends");
        }
        Registration { hub: self.clone(), node, way, asked }
    }

    /// Notes a beat; false if that way is not there any more.
    pub(super) fn beat(&self, node: NodeId, session: Uuid) -> bool {
        let way = self.ways().get(&node).filter(|way| way.session == session).cloned();
        way.map(|way| way.state().heard = Instant::now()).is_some()
    }

    /// Answers a request of `node`; false if nobody waits for it any more.
    pub(super) fn claim(&self, node: NodeId, id: Uuid, claim: Claim) -> bool {
        let way = self.ways().get(&node).cloned();
        let waiting = way.and_then(|way| way.state().pending.remove(&id));
        waiting.is_some_and(|waiting| waiting.send(claim).is_ok())
    }

    /// Until when `way` counts as open without another beat.
    fn end(&self, way: &Way) -> Instant {
        way.state().heard + self.options.heartbeat * SILENT_BEATS
    }

    fn is_alive(&self, way: &Way) -> bool {
        Instant::now() < self.end(way)
    }

    pub(super) async fn open(&self, node: NodeId, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        let way = self.ways().get(&node).cloned().filter(|way| self.is_alive(way));
        let way = way.ok_or(LinkError::Unreachable(node))?;
        let deadline = Instant::now() + self.options.claim;
        let (mut waiting, answer) = Waiting::new(&way, self.options.pending)?;
        if way.requests.try_send((waiting.id, request)).is_err() {
            return Err(match way.requests.is_closed() {
                true => LinkError::Unreachable(node),
                false => busy(),
            });
        }
        // The requests of a way that ends lose their answer with it.
        let late = || LinkError::Unavailable { problem: format!("it did not answer within {:?}", self.options.claim) };
        let claimed = timeout_at(deadline, answer).await.map_err(|_| late())?;
        let upgrade = claimed.map_err(|_| LinkError::Broken("its way ended".into()))??;
        let upgraded = timeout_at(deadline, upgrade).await.map_err(|_| late())?;
        let upgraded = upgraded.map_err(|error| LinkError::Broken(error.into()))?;
        waiting.is_open = true;
        Ok(Box::new(Opened::new(way.clone(), waiting.id, TokioIo::new(upgraded))))
    }
}

fn busy() -> LinkError {
    LinkError::Unavailable { problem: String::from("it has not dialled for what it was asked before") }
}

/// A request that waits for its node; whoever drops it does not wait any more.
struct Waiting<'a> {
    way: &'a Way,
    id: Uuid,
    is_open: bool,
}

impl<'a> Waiting<'a> {
    fn new(way: &'a Way, most: usize) -> Result<(Self, oneshot::Receiver<Claim>), LinkError> {
        let (sender, answer) = oneshot::channel();
        let id = Uuid::new_v4();
        let mut state = way.state();
        if state.pending.len() >= most {
            return Err(busy());
        }
        state.pending.insert(id, sender);
        Ok((Self { way, id, is_open: false }, answer))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_open {
            self.way.state().pending.remove(&self.id);
            self.way.close(self.id);
        }
    }
}

/// A way's place in the hub.
pub(super) struct Registration {
    hub: Arc<Hub>,
    node: NodeId,
    pub(super) way: Arc<Way>,
    asked: mpsc::Receiver<(Uuid, LinkRequest)>,
}

impl Registration {
    /// What is to be told to the node next.
    pub(super) async fn next(&mut self) -> Asked {
        loop {
            match &mut self.way.state().closed {
                Some(closed) => {
                    if let Some(id) = closed.pop() {
                        return Asked::Close(id);
                    }
                }
                None => return Asked::Replaced,
            }
            let asked = tokio::select! {
                asked = self.asked.recv() => asked,
                () = self.way.wake.notified() => continue,
            };
            let Some((id, request)) = asked else { return Asked::Replaced };
            if self.way.state().pending.contains_key(&id) {
                return Asked::Open(id, request);
            }
        }
    }

    /// Breaks everything that is open to the node, for it is not heard any more.
    pub(super) fn break_off(&self) {
        self.way.silent.send_replace(true);
    }

    pub(super) fn end(&self) -> Instant {
        self.hub.end(&self.way)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.asked.close();
        let mut ways = self.hub.ways();
        if ways.get(&self.node).is_some_and(|way| Arc::ptr_eq(way, &self.way)) {
            ways.remove(&self.node);
        }
        drop(ways);
        self.way.end();
    }
}
