//! Conformance suites: what every implementation of a port must pass, and what tests need to run them.
//!
//! A suite reports by panicking, as a test does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a suite reports by panicking")]

mod clock;
pub mod store;
mod world;

pub use clock::ManualClock;
pub use world::{StoreHarness, World, token_secret};
