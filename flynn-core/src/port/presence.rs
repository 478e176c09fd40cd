use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::noun::{NodeId, RouterId};
use crate::revision::Revision;
use crate::time::Timestamp;

/// Heartbeats, kept apart from the event log: they may be lost, and each replaces the one before.
///
/// Only what follows from them (a node is suspect, lost, back) is committed. After a restart of the
/// store nobody is present until its next beat, and a reader counts absence from the restart.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Records a beat of `member`, which counts as present for the length of `lease` from here on.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn beat(&self, member: Member, beat: Beat, lease: Duration) -> Result<(), StoreError>;

    /// Who was seen since the store started, and when. Members whose lease ran out more than a day ago
    /// are forgotten.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn seen(&self) -> Result<Vec<Seen>, StoreError>;
}

/// Who can be present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// The agent of a node.
    Node(NodeId),
    /// A router.
    Router(RouterId),
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Changes with every start of its process.
    pub incarnation: String,
    /// The last revision it has taken in. A router names one only when no request is routed by an older
    /// table any more; it beats at once when its table changed, and with its next beat otherwise.
    pub acknowledged: Revision,
}

/// A member as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub member: Member,
    /// Its last beat.
    pub beat: Beat,
    /// When that was, by the store's time.
    pub at: Timestamp,
    /// Until when it counts as present.
    pub until: Timestamp,
}
