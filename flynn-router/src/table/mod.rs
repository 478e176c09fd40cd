//! Where requests go: routes, the targets they share, and the instances behind each target.

mod content;
mod host;
mod passage;
mod place;
mod sharded;
mod slot;
mod target;

use std::fmt;
use std::sync::Arc;

pub use content::{Content, TableChange, TargetSpec};
pub use host::Host;
pub use passage::{Crossing, Passage};
pub use place::{FoundRoute, HostMatch, Place, RouteSpec};
pub use sharded::ShardedTable;
pub(crate) use target::Engaged;
pub use target::{Backend, Target, TargetKey, TargetState};

/// Finds the route of a request. Read by every request, so it neither waits nor blocks.
pub trait RouteTable: Send + Sync + fmt::Debug {
    /// The route of requests for `path` on `host`; none if there is no such route.
    ///
    /// `path` is the path as it was sent, without a query. Routes of exactly this host come first, then those
    /// of the wildcard one label above it, then those of any host; among the routes of one pattern the longest
    /// prefix wins.
    fn lookup(&self, host: &Host, path: &str) -> Option<Arc<FoundRoute>>;

    /// Marks the beginning of a routing decision. Whoever replaces entries can wait for the end of all
    /// decisions that may rest on the old ones.
    fn enter(&self) -> Passage;
}
