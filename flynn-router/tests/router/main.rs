//! The router over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod balance;
mod churn;
mod cluster;
#[cfg(feature = "config")]
mod config;
mod drain;
mod failures;
mod follow;
mod instance;
mod limits;
mod messages;
mod refusals;
mod rig;
mod rules;
mod table;
mod upgrade;
