use async_trait::async_trait;

use crate::error::StoreError;
use crate::noun::{AppId, Kind, Object, ObjectId};
use crate::revision::Revision;
use crate::rule::Principal;
use crate::time::Timestamp;

/// What is over: removed jobs, releases, deployments and builds, and who changed what. Newest first,
/// pruned to the limits of the store. The history of an app goes with the app.
#[async_trait]
pub trait History: Send + Sync {
    /// Removed objects that match `query`, after `cursor`.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn archived(&self, query: ArchiveQuery, cursor: Cursor, limit: usize) -> Result<Page<Archived>, StoreError>;

    /// Commits by bearers of tokens, after `cursor`.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`.
    async fn audit(&self, cursor: Cursor, limit: usize) -> Result<Page<AuditRecord>, StoreError>;
}

/// Which removed objects are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveQuery {
    /// Their kind.
    pub kind: Kind,
    /// The app they hung from; all apps if none.
    pub app: Option<AppId>,
}

/// Where the next page begins. The default is the newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(pub Option<(Revision, u32)>);

/// Some entries, and where the following ones begin.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries, newest first.
    pub entries: Vec<T>,
    /// The cursor of the next page; none if this is the last.
    pub next: Option<Cursor>,
}

/// An object as it was when it was removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Archived {
    /// The commit that removed it.
    pub revision: Revision,
    /// When that was.
    pub at: Timestamp,
    /// The object.
    pub object: Object,
}

/// Who changed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// The commit.
    pub revision: Revision,
    /// When it was.
    pub at: Timestamp,
    /// Who asked for it.
    pub principal: Principal,
    /// What it changed.
    pub objects: Vec<ObjectId>,
}
