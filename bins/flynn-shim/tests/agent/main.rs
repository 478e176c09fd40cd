//! Agents over real supervisors: what becomes of a job that a store wants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation ends the test")]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests are in real time")]

mod contained;
mod ground;
mod imaged;
mod killed;
mod plain;
mod stuck;
mod unreachable;
mod visited;
