//! Flynn as an operator starts it: the real programs in a place of their own, the real `git`, the real command line.
//!
//! A [`Rig`] has its own data directory, ports and home, so that several run beside each other. [`Rig::down`] ends it
//! and says what it left on the machine ([`leaks`]), which should be nothing.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a rig stands where a person sits: it reads the clock, stops at what it did not expect and says why"
)]

mod checkout;
mod disk;
mod embedded;
mod http;
mod image_layout;
pub mod leaks;
mod patience;
mod platform;
mod ports;
mod programs;
mod reboot;

pub use checkout::Checkout;
pub use disk::SmallDisk;
pub use embedded::left_by;
pub use http::{Answer, ask, get};
pub use image_layout::{write_layout, write_layout_of};
pub use patience::eventually;
pub use platform::{Ran, Rig, RigOptions};
pub use ports::Port;
pub use programs::{bases, bases_folder, program};
