//! The placement core from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod explanations;
mod index;
mod preemption;
mod rules;
mod world;
