//! What an operator starts and a developer pushes, through the real programs.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests read the clock, say what they do and fail by panicking"
)]

mod apps;
mod bad_input;
mod deploy;
mod disk_limit;
mod encrypted;
mod faults;
mod full_disk;
mod hostile;
mod image;
mod leaks;
mod neighbour;
mod processes;
mod reboot;
mod refusals;
mod start;
mod survival;
mod taken_down;
mod up;
