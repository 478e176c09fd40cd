//! What a runtime and its shims agree on: the files of a job, the messages on its socket, its log.
//!
//! A shim is the process that supervises one job: it is the parent of the job's first process, owns its
//! output and its exit, and survives whoever started it. The program is `flynn-shim`; this module holds
//! only what both sides need. Nothing here runs tokio.

mod config;
mod files;
mod identity;
mod log;
mod message;
mod sealed;

pub use config::{Config, ContainerWork, LogLimits, PlainProcess, RootMount, Work};
pub use files::{ExitRecord, Files, LostRecord, Phase, ShimRecord, WireExit, read_json, reserve_json, write_json};
pub use identity::{ProcessId, boot_id};
pub use log::{LogRecord, LogRecordError, Tag};
pub use message::{Answer, Command, ExecProcess, Reply, Request, StreamKind, Target, Trouble};
pub use sealed::{is_sealed, sealed_copy};

/// The version of the files and messages that this crate writes. A runtime may meet shims of older
/// versions, since they outlive it; a shim refuses a request of a newer one.
pub const PROTOCOL: u32 = 1;
