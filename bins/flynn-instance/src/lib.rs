//! One instance of Flynn on a machine: where its files are, what its things are called, and how its processes
//! find each other.
//!
//! Several instances can run on one machine. Each has a data directory, and everything that it makes outside of it is
//! named after that directory ([`Names`]), so that none touches what belongs to another.
//!
//! A process of an instance holds a [`Post`]: a locked file that says who it is. So there is one of each, and one
//! that was started by a process that is gone is found again.

pub mod crash;
mod failure;
mod files;
mod identity;
mod layout;
mod listen;
mod logging;
mod names;
mod place;
mod post;
mod stop;
mod user;

pub use failure::run;
pub use files::raise_open_files;
pub use identity::Identity;
pub use layout::{DEFAULT_DATA, DEFAULT_RUN, Layout};
pub use listen::{BindError, bind};
pub use logging::start_logging;
pub use names::Names;
pub use place::Place;
pub use post::{Post, PostError, Record};
pub use stop::Stop;
pub use user::{User, UserError};
