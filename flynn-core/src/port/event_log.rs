use futures::stream::BoxStream;

use crate::error::BoxError;
use crate::noun::{Object, ObjectId};
use crate::revision::Revision;
use crate::scope::Scope;
use crate::time::Timestamp;

/// What follows a snapshot: every commit, once, in order, without gaps.
pub trait EventLog: Send + Sync {
    /// The commits of a scope after `after`, and then each further one as it is made. The stream does not
    /// end by itself; after an error it does.
    ///
    /// A commit arrives whole. One that touches nothing in the scope may be left out, but the revision of the
    /// last commit always arrives, if need be with no events, so that a reader knows how far it has come.
    /// The stream holds no buffer that grows: a reader that stops reading costs next to nothing and may find
    /// itself [compacted](TailError::Compacted).
    fn tail(&self, scope: Scope, after: Revision) -> Tail;
}

/// A stream of commits.
pub type Tail = BoxStream<'static, Result<Commit, TailError>>;

/// One commit as a reader of a scope sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Its revision.
    pub revision: Revision,
    /// Its time.
    pub at: Timestamp,
    /// What it did within the scope, at most one event an object.
    pub events: Vec<Event>,
}

/// What a commit did to one object, as a reader of a scope sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The object was created, changed, or came into the scope.
    Put(Object),
    /// The object was removed, or left the scope.
    Removed(ObjectId),
}

/// Why a tail ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// The log does not reach from where the reader is to the present, because it was cut or because the
    /// store was restored from a backup. Take a new snapshot and tail from there.
    #[error("tail: the log does not join revision {after}: take a new snapshot")]
    Compacted {
        /// Where the reader was.
        after: Revision,
    },
    /// The store cannot answer at present. Tail again from the last commit that arrived.
    #[error("tail: the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// The reader may not read this scope, or not any more.
    #[error("tail: not allowed")]
    NotAllowed(#[source] crate::rule::Denial),
}
