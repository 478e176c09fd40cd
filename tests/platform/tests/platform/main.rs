//! Flynn's programs as processes. The programs of this build have to be there: `cargo build --workspace` makes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod outlive;
mod push;
mod start;
mod taken_down;
