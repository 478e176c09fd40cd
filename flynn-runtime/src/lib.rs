//! Runs Flynn's jobs on one node.
//!
//! Each job has a supervisor of its own, the process [`shim`] describes: jobs survive the process that made
//! them, and no exit is lost. A runtime is the other side: it starts shims, finds them again after a restart,
//! and takes away what is left of those that died.
//!
//! - [`ContainerRuntime`] runs containers; it needs root.
//! - [`ProcessRuntime`] runs plain processes and isolates nothing.
//!
//! [`network`] gives jobs addresses, [`health`] asks whether they answer, [`cgroup`] finds and empties their
//! control groups. With the feature `test-util`, `conformance` is what every runtime must pass.
//!
//! A runtime needs the program `flynn-shim`, loaded as a [`ShimProgram`]. It must run inside a tokio runtime
//! with I/O and time, starts no task of its own, and reads neither environment nor clock.
//!
//! What is not here: user namespaces, limits on disk space, checkpoints, pausing, image layers and
//! snapshots, volumes, reading logs back as a `LogSource`, and measurements of use. Version 2 control groups
//! are written for and tested on plain files alone.

pub mod cgroup;
mod client;
#[cfg(feature = "test-util")]
pub mod conformance;
mod container;
mod environment;
pub mod health;
mod jobs;
pub mod network;
mod process;
mod program;
mod session;
pub mod shim;
mod signal;
mod wakes;

pub use container::{ContainerOptions, ContainerRuntime};
pub use process::ProcessRuntime;
pub use program::ShimProgram;
