//! The ports kept in memory: real implementations that last as long as their process.

mod archive;
mod presence;
mod samples;
mod store;

#[cfg(feature = "sqlite")]
pub(crate) use archive::page;
pub use presence::MemoryPresence;
pub use samples::MemorySamples;
pub use store::MemoryStore;
