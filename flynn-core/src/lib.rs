//! What every part of Flynn agrees on: the nouns, the rules and the ports.

pub mod change;
pub mod election;
mod error;
mod id;
pub mod name;
pub mod noun;
mod revision;
pub mod rule;
mod scope;
mod state;
mod time;
pub mod value;
#[cfg(feature = "wire")]
pub mod wire;

pub use change::{Action, Batch, Change, Expectation};
pub use error::{BoxError, Conflict, StoreError};
pub use id::{Id, IdError, Ids};
pub use noun::{AppId, BuildId, JobId, NodeId, ReleaseId, TeamId};
pub use revision::Revision;
pub use rule::Principal;
pub use scope::Scope;
pub use time::{Clock, SystemClock, Timestamp};
