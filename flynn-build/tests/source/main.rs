//! Source trees from archives: those of real tar programs, hostile ones and damaged ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod archive;
mod blobs;
mod fuzz;
mod hostile;
mod real;
mod unpack;
