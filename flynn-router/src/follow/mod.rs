//! The route follower: keeps a table equal to what the store says.

mod file;
mod follower;

#[cfg(feature = "tls")]
pub(crate) use file::replace;
pub use file::{SavedTable, TableFile, TableFileError};
pub use follower::{FollowSettings, RouteFollower};
