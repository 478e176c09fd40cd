//! A store in this process and everything that is served of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use flynn_core::client::{Credential, Endpoint};
use flynn_core::conformance::{StoreHarness, World, token_secret};
use flynn_core::noun::{NodeId, TokenScope};
use flynn_core::server::{Authenticator, FirstOf, SocketAuthenticator, TokenAuthenticator};
use flynn_core::{Clock, MemoryStore, Retention};

use super::harness::{Server, own_uid};
use super::people::token;

struct InProcess;

#[async_trait]
impl StoreHarness for InProcess {
    type Store = MemoryStore;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(clock, retention))
    }
}

pub(crate) type Local = World<MemoryStore>;

pub(crate) async fn local() -> Local {
    World::new(&InProcess).await
}

/// One whose log of events reaches back three commits.
pub(crate) async fn brief() -> Local {
    World::with_retention(&InProcess, Retention { commits: 3, ..Retention::default() }).await
}

/// Who may do what in `world`.
pub(crate) fn authenticator(world: &Local) -> Arc<dyn Authenticator> {
    let tokens = TokenAuthenticator::new(world.store.clone()).with_clock(world.clock.clone());
    Arc::new(FirstOf(tokens, SocketAuthenticator::new(own_uid())))
}

pub(crate) struct Site {
    pub(crate) world: Local,
    pub(crate) server: Server,
}

impl Site {
    pub(crate) async fn new(routes: impl FnOnce(&Local) -> Router) -> Self {
        let world = local().await;
        let server = Server::start(routes(&world)).await;
        Self { world, server }
    }

    pub(crate) fn trusted(&self) -> (Endpoint, Credential) {
        (Endpoint::unix(&self.server.socket), Credential::Socket)
    }

    /// The way of a node's token, over TCP.
    pub(crate) async fn node(&self, node: NodeId) -> (Endpoint, Credential) {
        let token = token(&self.world, TokenScope::Node(node), None).await;
        (self.server.endpoint(), Credential::Token(token_secret(token)))
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll).await.unwrap_or_else(|_| panic!("never: {what}"));
}
