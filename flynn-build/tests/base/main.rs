//! Base images, made by a program that stands in for mmdebstrap and, in one test, by mmdebstrap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod archives;
mod images;
mod interruptions;
mod real;
mod world;
