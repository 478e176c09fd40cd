//! The same requests as in `router`, served by the reference path.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]
#![allow(dead_code, reason = "what only tests of the table need is there as well")]

#[path = "../router/balance.rs"]
mod balance;
#[path = "../router/churn.rs"]
mod churn;
#[path = "../router/cluster.rs"]
mod cluster;
#[path = "../router/drain.rs"]
mod drain;
#[path = "../router/failures.rs"]
mod failures;
#[path = "../router/instance.rs"]
mod instance;
#[path = "../router/limits.rs"]
mod limits;
#[path = "../router/messages.rs"]
mod messages;
#[path = "../router/refusals.rs"]
mod refusals;
#[path = "../router/rig.rs"]
mod rig;
#[path = "../router/rules.rs"]
mod rules;
#[path = "../router/upgrade.rs"]
mod upgrade;

/// What serves.
const ENGINE: flynn_router::proxy::Engine = flynn_router::proxy::Engine::Reference;
