//! The route follower: keeps a table equal to what the store says.

mod file;
mod follower;

pub use file::{SavedTable, TableFile, TableFileError};
pub use follower::{FollowError, FollowSettings, RouteFollower};
