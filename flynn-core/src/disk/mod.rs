//! Space on the disks of a machine: how much is left ([`Space`]), what a tree of files takes ([`DiskUse`]), and who has
//! to go when somebody takes more than was granted ([`to_stop`]).
//!
//! Nothing here needs quotas of the file system: it is measured, again and again, by whoever runs what writes.

mod limit;
mod size;
mod space;
mod usage;

pub use limit::{OverLimit, Writer, to_stop};
pub use size::Size;
pub use space::{Shortage, Space};
pub use usage::{Bounds, DiskUse};
