//! Conformance suites: what every implementation of a port must pass, and what tests need to run them.
//!
//! A suite reports by panicking, as a test does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a suite reports by panicking")]

pub mod blobs;
mod clock;
mod content;
pub mod key_ring;
pub mod presence;
pub mod samples;
pub mod store;
mod world;

pub use blobs::BlobsHarness;
pub use clock::ManualClock;
pub use key_ring::KeyRingHarness;
pub use presence::PresenceHarness;
pub use samples::SamplesHarness;
pub use world::{StoreHarness, World, token_secret};
