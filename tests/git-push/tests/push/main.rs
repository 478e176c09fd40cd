//! The git service over loopback, with the real git client and real git behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod client;
mod deploy;
mod handler;
mod leave;
mod maintain;
mod refuse;
mod transport;
mod user;
mod world;
