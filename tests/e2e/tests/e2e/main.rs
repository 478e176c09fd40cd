//! What an operator starts and a developer pushes, through the real programs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod apps;
mod deploy;
mod processes;
mod refusals;
mod survival;
