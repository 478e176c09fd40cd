//! The adapters for one machine: the suites of their ports, and what their ports do not promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod blobs;
mod key_ring;
mod small_disk;
