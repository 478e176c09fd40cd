use std::collections::BTreeSet;

use async_trait::async_trait;
use axum::http::request::Parts;

use super::{AuthError, Authenticator, Caller};

/// The user id of the process at the other end of a unix socket.
///
/// The host asks the kernel for it (`SO_PEERCRED`) when it accepts a connection, and puts it into the
/// [extensions](axum::http::Extensions) of each request that comes over it. It must not do so for anything
/// but a unix socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerUid(pub u32);

/// Trusts processes of some users of this machine, known by the [`PeerUid`] of the request.
#[derive(Debug, Clone)]
pub struct SocketAuthenticator {
    trusted: BTreeSet<u32>,
}

impl SocketAuthenticator {
    /// Trusts root, which could read the store's files anyhow, and `own`, the user of this process.
    pub fn new(own: u32) -> Self {
        Self { trusted: BTreeSet::from([0, own]) }
    }
}

#[async_trait]
impl Authenticator for SocketAuthenticator {
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError> {
        match request.extensions.get::<PeerUid>() {
            Some(PeerUid(uid)) if self.trusted.contains(uid) => Ok(Caller::Trusted),
            _ => Err(AuthError::Missing),
        }
    }
}
