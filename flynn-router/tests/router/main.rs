//! The router over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod churn;
mod cluster;
mod drain;
mod failures;
mod follow;
mod instance;
mod messages;
mod refusals;
mod rig;
mod table;
mod upgrade;
