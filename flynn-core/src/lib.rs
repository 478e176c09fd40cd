//! What every part of Flynn agrees on: the nouns, the rules and the ports.
//!
//! A [`port::Store`] holds [`noun`]s. Whoever wants something changed commits a [`Batch`]; whoever acts on
//! what is there follows a [`View`]. Every store judges a batch by the same [`rule`]s, so what is committed
//! may be relied on: names are unique, references hold, nodes are not overfilled, quotas are kept, and nobody
//! does what is not theirs to do.
//!
//! # Features
//!
//! All are off by default and can be combined.
//!
//! | Feature | Adds |
//! |---|---|
//! | `api` | [`api`]: the documents of the public HTTP API |
//! | `client` | [`client`]: a store in another process |
//! | `disk` | [`disk`]: what is left of disks, and who takes too much of them |
//! | `link` | [`link`]: what goes over the way to a node |
//! | `local` | the ports kept in the files of one machine |
//! | `server` | [`server`]: the public HTTP API, and what serves a store to other processes |
//! | `sqlite` | [`sqlite`]: a durable store in one file |
//! | `tokens` | [`TokenSecret`]: what the bearer of a token shows |
//! | `wire` | [`wire`]: the documents that nouns are stored and sent as |
//! | `x509` | [`x509`]: what certificates say, and whether a key is theirs |
//! | `test-util` | [`conformance`]: suites for implementations of the ports |

#[cfg(feature = "api")]
pub mod api;
pub mod change;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "test-util")]
pub mod conformance;
#[cfg(feature = "disk")]
pub mod disk;
pub mod election;
mod error;
mod feed;
mod id;
#[cfg(feature = "link")]
pub mod link;
#[cfg(feature = "local")]
pub mod local;
mod memory;
pub mod name;
pub mod noun;
pub mod port;
mod retention;
mod revision;
pub mod rule;
mod scope;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod state;
mod time;
#[cfg(feature = "tokens")]
mod token;
pub mod value;
mod view;
#[cfg(feature = "wire")]
pub mod wire;
#[cfg(feature = "x509")]
pub mod x509;

pub use change::{Action, Batch, Change, Expectation};
pub use error::{BoxError, Conflict, DiskFull, StoreError};
pub use id::{Id, IdError, Ids};
#[cfg(any(feature = "local", feature = "test-util"))]
pub use memory::MemoryBlobs;
pub use memory::{MemoryPresence, MemorySamples, MemoryStore};
pub use noun::{AppId, BuildId, JobId, NodeId, ReleaseId, TeamId};
pub use retention::Retention;
pub use revision::Revision;
pub use rule::Principal;
pub use scope::Scope;
pub use time::{Clock, SystemClock, Timestamp};
#[cfg(feature = "tokens")]
pub use token::{TokenSecret, TokenSecretError};
pub use view::{Follower, View, ViewClosed};

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
