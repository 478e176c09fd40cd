//! The state of a store, and the one function that moves it on.

mod hosts;
mod index;
mod judge;
mod keys;
mod origin;
mod seats;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use imbl::HashMap;

use crate::election::{Lease, Seat};
use crate::noun::{Object, ObjectId, Objects};
use crate::port::Committed;
use crate::revision::Revision;
use crate::rule::Principal;
use crate::scope::Membership;
use crate::time::Timestamp;

pub(crate) use index::Index;
pub(crate) use judge::judge;
pub(crate) use keys::{Keys, Remembered};
pub(crate) use seats::{campaign, resign};

/// Everything a store decides on. Cloning takes constant time, so that a batch is tried on a clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) revision: Revision,
    pub(crate) time: Timestamp,
    pub(crate) objects: Objects,
    pub(crate) index: Index,
    pub(crate) leases: HashMap<Seat, Lease>,
    pub(crate) keys: Keys,
}

impl State {
    /// A state read back from where it was kept.
    #[cfg(feature = "sqlite")]
    pub(crate) fn restored(
        revision: Revision,
        time: Timestamp,
        objects: Objects,
        leases: HashMap<Seat, Lease>,
        keys: Keys,
    ) -> Self {
        let mut index = Index::default();
        for object in objects.all() {
            index.restore(&object);
        }
        Self { revision, time, objects, index, leases, keys }
    }
}

/// One applied batch, as the log keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) revision: Revision,
    pub(crate) at: Timestamp,
    pub(crate) principal: Principal,
    pub(crate) transitions: Vec<Transition>,
}

/// What a batch did to one object.
#[derive(Debug, Clone)]
pub(crate) struct Transition {
    pub(crate) id: ObjectId,
    /// What scopes saw in it before; none if it was created.
    pub(crate) was: Option<Membership>,
    /// What it has become; none if it was removed.
    pub(crate) is: Option<Object>,
    /// What goes to the history.
    pub(crate) archived: Option<Object>,
}

/// The outcome of a batch.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The state after it.
    pub(crate) state: State,
    /// What it did; none if it changed nothing.
    pub(crate) entry: Option<Arc<Entry>>,
    /// The answer to the writer.
    pub(crate) committed: Committed,
}
