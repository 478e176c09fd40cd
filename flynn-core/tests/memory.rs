//! The store suite on the store in memory.

use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::conformance::StoreHarness;
use flynn_core::{Clock, MemoryStore, Retention};

struct InMemory;

#[async_trait]
impl StoreHarness for InMemory {
    type Store = MemoryStore;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(clock, retention))
    }
}

flynn_core::store_conformance!(InMemory);
