//! Writable file systems over the layers of an [`ImageStore`](crate::image::ImageStore), and layers made of
//! what was written.
//!
//! ```text
//! snapshots/KEY/snapshot.json   a record
//! snapshots/KEY/lower/N         links to the layers, the lowest first, by names short enough for one mount
//! snapshots/KEY/layer/fs        what is written
//! snapshots/KEY/work            scratch space of the overlay file system
//! ```

mod mounted;
mod overlay;
pub(crate) mod records;

pub use overlay::{OverlaySnapshots, SnapshotOptions};
pub use records::Snapshot;
