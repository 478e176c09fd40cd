//! The control groups of one node's jobs: found, read, emptied and taken away.
//!
//! Whatever destroys something takes a [`CgroupPath`], which only a validated [`CgroupParent`] can make, so
//! that no mistake reaches a group that is not ours.

mod path;
mod tree;

pub use path::{CgroupParent, CgroupPath, CgroupPathError};
pub(crate) use tree::SwapLimit;
pub use tree::{Cgroups, Mode};
