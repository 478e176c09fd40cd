use async_trait::async_trait;

use crate::change::Batch;
use crate::error::StoreError;
use crate::noun::{ObjectId, Objects};
use crate::revision::Revision;
use crate::scope::Scope;
use crate::time::Timestamp;

/// The truth: all objects, and the only way to change them.
///
/// * A batch is applied completely or not at all, also when the process or the machine dies.
/// * Commits are totally ordered. Each that changes something gets the revision after the one before.
/// * Every rule of [`rule`](crate::rule) holds inside every commit, whoever the caller is.
/// * An acknowledged commit is durable, as far as the store is: a [`MemoryStore`](crate::MemoryStore) lives
///   as long as its process.
/// * Both methods can be dropped at any time. A dropped commit may or may not be applied; repeat it under
///   the same [idempotency key](crate::change::Idempotency) to learn which.
#[async_trait]
pub trait Store: Send + Sync {
    /// All objects of a scope at one revision, which includes every commit acknowledged before the call.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn snapshot(&self, scope: Scope) -> Result<Snapshot, StoreError>;

    /// Applies a batch. A change that changes nothing writes nothing; a batch of only such changes is
    /// acknowledged with the revision that is current.
    ///
    /// # Errors
    /// Any variant of [`StoreError`]; only after `Unavailable` may the batch have been applied.
    async fn commit(&self, batch: Batch) -> Result<Committed, StoreError>;
}

/// The objects of a scope at one moment. Cloning takes constant time.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The last commit it includes.
    pub revision: Revision,
    /// The time of the store at that commit.
    pub at: Timestamp,
    /// The objects, as a reader of the scope sees them.
    pub objects: Objects,
}

/// The acknowledgement of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The revision that includes the batch.
    pub revision: Revision,
    /// The objects the batch changed, in the order of their first change.
    pub objects: Vec<ObjectId>,
    /// Whether it was applied before, under the same idempotency key.
    pub replayed: bool,
}
