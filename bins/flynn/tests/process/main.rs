//! The program as a process, against the API's own server and the real controller.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reports by panicking and uses the machine's clock"
)]

mod access;
mod apps;
mod deploys;
mod links;
mod logs;
mod node;
mod pty;
mod sessions;
mod world;
