//! What every part of Flynn agrees on: the nouns, the rules and the ports.

pub mod change;
#[cfg(feature = "test-util")]
pub mod conformance;
pub mod election;
mod error;
mod feed;
mod id;
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
mod state;
mod time;
pub mod value;
mod view;

pub use change::{Action, Batch, Change, Expectation};
pub use error::{BoxError, Conflict, StoreError};
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
pub use view::{Follower, View, ViewClosed};
