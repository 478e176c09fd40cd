//! An instance of Flynn for tests: its real programs as processes, in folders and on addresses of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod base;
mod checkout;
mod http;
mod instance;
mod remains;
mod served;

pub use base::base_archive;
pub use checkout::Checkout;
pub use http::{Answer, get, post, post_locally, upload};
pub use instance::{Instance, Started, program, public_copy, until};
pub use remains::remains;
pub use served::{Served, serve};
