//! What another process serves, used over HTTP: a store, and the public API.
//!
//! [`Api`] is the typed client of the public API below `/v1`, whose documents are in [`api`](crate::api).
//!
//! [`RemoteStore`] is the other end of the peer protocol, which the `server` feature serves. It implements
//! the ports of a store by asking, and keeps nothing: whoever wants a replica opens a
//! [`View`](crate::View) over it.
//!
//! # What this release cannot read
//!
//! The server may be of a later release. An object that this one cannot read, because of its kind or of a
//! variant in its document, is opaque: it is left out of snapshots and pages, an event about it is left out of its
//! commit, and the revision goes on all the same. So a reader never stops at such an object, and sees the last
//! state of it that it could read, or none. Each is logged as a warning and counted by
//! [`unreadable`](RemoteStore::unreadable).

mod api;
mod blobs;
mod call;
mod certificate_keys;
mod endpoint;
mod environments;
mod lines;
pub mod link;
mod ports;
mod tail;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use api::{Api, ApiError, ApiOptions, EventNews, Events, Joined, JoinedInput, JoinedOutput, LogNews, Logs};
pub use blobs::RemoteBlobs;
pub use certificate_keys::CertificateKeys;
pub use endpoint::{Endpoint, EndpointError};
pub use environments::JobEnvs;

use crate::error::StoreError;
use crate::rule::Principal;
use crate::token::TokenSecret;
use crate::wire::peer::{Whoami, decode};
use call::Caller;

/// How the client says who it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Credential {
    /// Not at all: the server asks the kernel who is at the other end of the unix socket.
    Socket,
    /// By a token.
    Token(TokenSecret),
}

/// A store in another process. Cloning shares its connections.
///
/// Every call has a deadline, after which it is `Unavailable`. So is whatever goes wrong on the way; whether
/// a commit was applied is then unknown. A commit with an idempotency key is sent again a few times within its
/// deadline when its connection breaks; all other repetition is the caller's business. A tail ends with
/// `Unavailable` when its connection breaks or nothing was heard on it for a while.
#[derive(Clone)]
pub struct RemoteStore {
    caller: Arc<Caller>,
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStore").field("endpoint", &self.caller.endpoint).finish_non_exhaustive()
    }
}

/// How patient a [`RemoteStore`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// The longest that a call may take, a snapshot to its last object; 30 seconds by default.
    pub deadline: Duration,
    /// The longest silence on a tail, 20 seconds by default. The server has a heartbeat every 5.
    pub patience: Duration,
    /// The longest line of an answer and the longest answer that is not lines, in bytes; 32 MiB by default.
    /// An answer beyond it is `Unavailable`.
    pub longest: usize,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), patience: Duration::from_secs(20), longest: 32 << 20 }
    }
}

impl RemoteStore {
    /// The store that is served at `endpoint`. Nothing is sent yet, so the server need not be there.
    ///
    /// # Errors
    /// The system's part of an HTTP client cannot be made.
    pub fn connect(endpoint: Endpoint, credential: Credential) -> Result<Self, StoreError> {
        Self::connect_with(endpoint, credential, RemoteOptions::default())
    }

    /// The same, with another patience than the default.
    ///
    /// # Errors
    /// The system's part of an HTTP client cannot be made.
    pub fn connect_with(
        endpoint: Endpoint,
        credential: Credential,
        options: RemoteOptions,
    ) -> Result<Self, StoreError> {
        Caller::new(endpoint, credential, options).map(|caller| Self { caller: Arc::new(caller) })
    }

    /// The principal that the server takes this client for; none if it trusts it to be any.
    ///
    /// # Errors
    /// `NotAllowed`, `Unavailable` or `Internal`.
    pub async fn principal(&self) -> Result<Option<Principal>, StoreError> {
        const WHOAMI: &str = "ask who is asking";
        let body = self.caller.get(WHOAMI, "whoami").await?;
        let Whoami { principal } = decode("caller", &body).map_err(call::unreadable(WHOAMI))?;
        Ok(principal)
    }

    /// How many objects and events were left out so far because this release cannot read them.
    pub fn unreadable(&self) -> u64 {
        self.caller.opaque.load(Ordering::Relaxed)
    }
}
