//! The ways that nodes keep open to this process.
//!
//! [`Links`] is a [`NodeLink`] to all nodes that have dialled here, as
//! [`client::link::serve`](crate::client::link::serve) does:
//!
//! | Request | Meaning |
//! |---|---|
//! | `GET /peer/v1/link/{node}` | the answer is lines of JSON: the requests of this process, one a line |
//! | `POST /peer/v1/link/{node}/beat?session=` | the node is still there |
//! | `POST /peer/v1/link/{node}/{id}` | with an upgrade to `flynn-link`: the bytes of that request |
//! | `POST /peer/v1/link/{node}/{id}/refusal` | why there will be none |
//!
//! Only the node itself and the trusted may ask; a token is judged by each of them, so the way of a revoked one
//! ends when the next beat is refused. A second way of the same node takes the place of the first. Both sides
//! have a heartbeat, and both give up a way on which they hear nothing for a while.
//!
//! The server of the host has to support upgrades of HTTP/1.1 (with hyper, `with_upgrades`).

mod hub;
mod opened;
mod routes;
mod way;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio::sync::watch;

use self::hub::Hub;
use super::Authenticator;
use crate::noun::NodeId;
use crate::port::{Duplex, LinkError, LinkRequest, NodeLink, Store};
use crate::time::{Clock, SystemClock};

/// How [`Links`] behave. The default is for production.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    clock: Arc<dyn Clock>,
    heartbeat: Duration,
    claim: Duration,
    pending: usize,
    closing: Option<watch::Receiver<bool>>,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            heartbeat: Duration::from_secs(5),
            claim: Duration::from_secs(20),
            pending: 256,
            closing: None,
        }
    }
}

impl LinkOptions {
    /// Lets tokens expire by another clock than the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Beats this often, and wants a beat from each node as often; 5 seconds by default. A node that is silent for
    /// three beats has no way open any more.
    #[must_use]
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Waits this long for a node to dial for what it was asked to open, 20 seconds by default.
    #[must_use]
    pub fn with_claim(mut self, claim: Duration) -> Self {
        self.claim = claim;
        self
    }

    /// Asks a node for at most so much that it has not dialled for yet; 256 by default.
    #[must_use]
    pub fn with_pending(mut self, most: usize) -> Self {
        self.pending = most.max(1);
        self
    }

    /// Ends all ways once `closing` turns true, or its sender is gone. A server that waits for its connections
    /// to finish would otherwise wait for ever.
    #[must_use]
    pub fn closing(mut self, closing: watch::Receiver<bool>) -> Self {
        self.closing = Some(closing);
        self
    }
}

/// The ways to the nodes that have dialled here. Cloning shares them.
#[derive(Clone, Default)]
pub struct Links {
    hub: Arc<Hub>,
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("nodes", &self.nodes()).finish_non_exhaustive()
    }
}

impl Links {
    /// No ways yet.
    pub fn new(options: LinkOptions) -> Self {
        Self { hub: Arc::new(Hub::new(options)) }
    }

    /// The routes that nodes dial, to merge with those of a [`router`](super::peer::router).
    pub fn routes<S: Store + 'static>(&self, store: Arc<S>, authenticator: Arc<dyn Authenticator>) -> Router {
        routes::router(self.hub.clone(), store, authenticator)
    }

    /// The nodes that have a way open.
    pub fn nodes(&self) -> Vec<NodeId> {
        self.hub.nodes()
    }
}

#[async_trait]
impl NodeLink for Links {
    async fn open(&self, node: NodeId, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        self.hub.open(node, request).await
    }
}
