//! What runs containers on libcontainer: the supervisor of a job of Flynn's.
//!
//! - [`launch`] is most of the program `flynn-shim`: the parent of a job's first process, owner of its output and
//!   its exit. A runtime starts one of these per job and writes a [`Config`](flynn_runtime::shim::Config) to its
//!   standard input.
//!
//! There is one thread and no tokio here: libcontainer forks and goes on running ordinary code in the child,
//! which deadlocks if another thread held a lock.

mod client;
mod clients;
mod container;
mod daemon;
mod ending;
mod exec;
mod executor;
mod filter;
mod init;
mod log;
mod output;
mod plain;
mod root;
mod streams;
mod supervisor;
mod tree;
mod work;

pub use daemon::{compile_filter, launch};
