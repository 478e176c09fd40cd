//! Runs Flynn's jobs on one node.
//!
//! Each job has a supervisor of its own, the process [`shim`] describes: jobs survive the process that made
//! them, and no exit is lost. A runtime is the other side: it starts shims, finds them again after a restart,
//! and takes away what is left of those that died.
//!
//! - [`ContainerRuntime`] runs containers; it needs root.
//! - [`ProcessRuntime`] runs plain processes and isolates nothing.
//!
//! The kernel keeps signals without a handler from the first process of a container. A shim makes up for that: on TERM,
//! INT, HUP or QUIT it tells all other processes of the container, then those that were started meanwhile,
//! and ends the first when none is left; its exit is that signal. It cannot see what a handler does: a program whose
//! handler restores the default action and raises the signal again, as that of Node.js does where the app has none of
//! its own, goes on as the first process and ends by KILL after its stop time.
//!
//! [`machine::Machine`] puts all of it together in one folder of the machine, for a program that embeds it.
//!
//! [`agent`] is the loop from the jobs that a store wants on this node to its containers. It works with all the
//! rest: [`image`] and [`snapshot`] give jobs their files, [`network`] gives them addresses, [`ContainerFiles`] lets them find names,
//! [`health`] asks whether they answer, [`logs`] keeps what they say, [`cgroup`] finds and empties their control groups. With the
//! feature `test-util`, `conformance` is what every runtime must pass.
//!
//! A runtime needs the program `flynn-shim`, loaded as a [`ShimProgram`]. All of this must run inside a tokio
//! runtime with I/O and time. A runtime starts no task of its own and an agent awaits those it starts; logs are
//! written by a thread of their own. Nothing reads the environment.
//!
//! What is not here: user namespaces, quotas of file systems (what jobs write is measured), checkpoints, pausing, layers compressed with zstd, images
//! for several machines, volumes, log drains, and measurements of use. Version 2 control groups are written for and
//! tested on plain files alone.

pub mod agent;
pub mod cgroup;
mod client;
#[cfg(feature = "test-util")]
pub mod conformance;
mod container;
mod environment;
pub mod health;
pub mod image;
mod jobs;
mod layer;
pub mod logs;
pub mod machine;
pub mod network;
mod process;
mod program;
mod session;
pub mod shim;
mod signal;
pub mod snapshot;
mod wakes;

pub use container::{ContainerFiles, ContainerOptions, ContainerRuntime, Resolvers};
pub use process::ProcessRuntime;
pub use program::ShimProgram;
