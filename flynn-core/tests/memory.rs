//! The suites of the ports on what is kept in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::conformance::{BlobsHarness, PresenceHarness, SamplesHarness, StoreHarness};
use flynn_core::{Clock, MemoryBlobs, MemoryPresence, MemorySamples, MemoryStore, Retention};

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

#[async_trait]
impl PresenceHarness for InMemory {
    type Presence = MemoryPresence;

    async fn open(&self, clock: Arc<dyn Clock>) -> Arc<MemoryPresence> {
        Arc::new(MemoryPresence::new(clock))
    }
}

#[async_trait]
impl SamplesHarness for InMemory {
    type Samples = MemorySamples;

    async fn open(&self, clock: Arc<dyn Clock>, per_app: usize, age: Duration) -> Arc<MemorySamples> {
        Arc::new(MemorySamples::new(clock, per_app, age))
    }
}

flynn_core::store_conformance!(InMemory);

mod blobs {
    use super::InMemory;

    flynn_core::blobs_conformance!(InMemory);
}

mod presence {
    use super::InMemory;

    flynn_core::presence_conformance!(InMemory);
}

mod samples {
    use super::InMemory;

    flynn_core::samples_conformance!(InMemory);
}
