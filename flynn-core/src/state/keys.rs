use std::sync::Arc;

use imbl::{HashMap, Vector};

use crate::change::Idempotency;
use crate::error::{Conflict, StoreError};
use crate::noun::ObjectId;
use crate::port::Committed;
use crate::retention::Retention;
use crate::revision::Revision;
use crate::rule::{Invalid, Principal};
use crate::time::Timestamp;

/// The idempotency keys that are still remembered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    by_name: HashMap<(Principal, Arc<str>), Arc<Remembered>>,
    by_age: Vector<Arc<Remembered>>,
}

/// The first use of an idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    pub(crate) principal: Principal,
    pub(crate) key: Arc<str>,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) at: Timestamp,
    pub(crate) revision: Revision,
    pub(crate) objects: Vec<ObjectId>,
}

impl Keys {
    /// The answer that was given under this key before.
    pub(crate) fn recall(&self, principal: Principal, asked: &Idempotency) -> Result<Option<Committed>, StoreError> {
        if asked.key.is_empty() || asked.key.len() > 255 || !asked.key.bytes().all(|b| b.is_ascii_graphic()) {
            let problem = "an idempotency key has 1 to 255 visible ASCII characters";
            return Err(StoreError::invalid("batch", Invalid::new("idempotency.key", problem)));
        }
        match self.by_name.get(&(principal, asked.key.as_str().into())) {
            None => Ok(None),
            Some(first) if first.fingerprint == asked.fingerprint => {
                Ok(Some(Committed { revision: first.revision, objects: first.objects.clone(), replayed: true }))
            }
            Some(_) => Err(StoreError::conflict(Conflict::KeyReused { key: asked.key.clone() })),
        }
    }

    /// The first use of this key, if it is remembered.
    #[cfg(feature = "sqlite")]
    pub(crate) fn first_use(&self, principal: Principal, asked: &Idempotency) -> Option<&Remembered> {
        self.by_name.get(&(principal, asked.key.as_str().into())).map(|first| &**first)
    }

    /// Remembers a first use, and forgets what is too old or too much.
    pub(crate) fn remember(&mut self, first: Arc<Remembered>, retention: &Retention) {
        let now = first.at;
        self.by_name.insert((first.principal, first.key.clone()), first.clone());
        self.by_age.push_back(first);
        while self
            .by_age
            .front()
            .is_some_and(|oldest| self.by_age.len() > retention.keys || now.since(oldest.at) > retention.key_age)
        {
            if let Some(oldest) = self.by_age.pop_front() {
                self.by_name.remove(&(oldest.principal, oldest.key.clone()));
            }
        }
    }
}
