//! The public API over real connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod access;
mod apps;
mod builds;
mod certificates;
mod cluster;
mod conditions;
mod config;
mod description;
mod domains;
mod harness;
mod processes;
mod releases;
mod requests;
mod visibility;
