//! The router over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod balance;
mod churn;
mod cluster;
#[cfg(feature = "config")]
mod config;
mod differential;
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
#[cfg(feature = "tls")]
mod tls;
mod upgrade;

/// What serves. The suite runs on the reference path as well, as `router_reference`.
const ENGINE: flynn_router::proxy::Engine = flynn_router::proxy::Engine::Direct;
