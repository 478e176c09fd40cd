use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use flynn_core::AppId;

/// Which apps are being deployed or maintained. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    held: Arc<Mutex<HashSet<AppId>>>,
}

/// The right to change the refs of an app's repository, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    app: AppId,
    locks: Locks,
}

impl Locks {
    pub(crate) fn try_lock(&self, app: AppId) -> Option<Lock> {
        let is_free = self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(app);
        is_free.then(|| Lock { app, locks: self.clone() })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.locks.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.app);
    }
}
