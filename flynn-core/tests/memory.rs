//! The suites of the ports on what is kept in memory.

use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::conformance::{BlobsHarness, StoreHarness};
use flynn_core::{Clock, MemoryBlobs, MemoryStore, Retention};

struct InMemory;

#[async_trait]
impl StoreHarness for InMemory {
    type Store = MemoryStore;

    async fn open(&self, clock: Arc<dyn Clock>, retention: Retention) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(clock, retention))
    }
}

#[async_trait]
impl BlobsHarness for InMemory {
    type Blobs = MemoryBlobs;

    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<MemoryBlobs> {
        Arc::new(MemoryBlobs::new(clock))
    }
}

flynn_core::store_conformance!(InMemory);

mod blobs {
    use super::InMemory;

    flynn_core::blobs_conformance!(InMemory);
}
