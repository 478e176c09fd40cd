use flynn_core::change::{Batch, Change, Expectation};
use flynn_core::{AppId, Principal, Timestamp};

/// What a pass wants to be done. Nothing in it has happened yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// What belongs to no app: whether nodes and routers are there. To be committed first.
    pub cluster: Vec<Draft>,
    /// What is to be done in each app, by id. If a draft is refused the later ones of its app have to wait
    /// for the next pass; other apps do not depend on it.
    pub apps: Vec<(AppId, Vec<Draft>)>,
    /// When to look again even if nothing has changed by then.
    pub again: Option<Timestamp>,
}

impl Plan {
    /// Whether nothing is to be done at present.
    pub fn is_empty(&self) -> bool {
        self.cluster.is_empty() && self.apps.is_empty()
    }

    /// All drafts in the order in which they are to be committed.
    pub fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.cluster.iter().chain(self.apps.iter().flat_map(|(_, drafts)| drafts))
    }
}

/// A batch without a signature: at most [`MOST_CHANGES`](flynn_core::change::MOST_CHANGES) changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// What was read and must still be so.
    pub expectations: Vec<Expectation>,
    /// What is to be done.
    pub changes: Vec<Change>,
}

impl Draft {
    /// The batch, in the name of `principal`.
    pub fn sign(&self, principal: Principal) -> Batch {
        let (expectations, changes) = (self.expectations.clone(), self.changes.clone());
        Batch { expectations, changes, ..Batch::new(principal) }
    }
}
