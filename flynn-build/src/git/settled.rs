use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flynn_core::AppId;

/// The apps whose repositories are packed, with nothing in them that could be pruned, and were not pushed to since.
/// Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled(Arc<Mutex<HashSet<AppId>>>);

impl Settled {
    pub(crate) fn insert(&self, app: AppId) {
        self.held().insert(app);
    }

    pub(crate) fn remove(&self, app: AppId) {
        self.held().remove(&app);
    }

    pub(crate) fn contains(&self, app: AppId) -> bool {
        self.held().contains(&app)
    }

    fn held(&self) -> MutexGuard<'_, HashSet<AppId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
