//! The ports kept in memory: real implementations that last as long as their process.

mod archive;
#[cfg(any(feature = "local", feature = "test-util"))]
mod blobs;
mod presence;
mod samples;
mod store;

#[cfg(feature = "sqlite")]
pub(crate) use archive::page;
#[cfg(any(feature = "local", feature = "test-util"))]
pub use blobs::MemoryBlobs;
pub use presence::MemoryPresence;
pub use samples::MemorySamples;
pub use store::MemoryStore;
