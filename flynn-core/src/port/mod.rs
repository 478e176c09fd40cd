//! The ports: traits where two parts of Flynn meet, or where an embedder would put a part of their own.

mod blobs;
mod elections;
mod event_log;
mod history;
mod images;
mod key_ring;
mod logs;
mod node_link;
mod presence;
mod runtime;
mod samples;
mod sandbox_network;
mod store;

pub use blobs::{Blob, BlobError, BlobReader, Blobs};
pub use elections::Elections;
pub use event_log::{Commit, Event, EventLog, Tail, TailError};
pub use history::{ArchiveQuery, Archived, AuditRecord, Cursor, History, Page};
pub use images::{Image, ImageError, Images, Mount, MountSource, Prepared, SnapshotKey, Snapshots};
pub use key_ring::{KeyRing, KeyRingError, SealedFor, Secret};
pub use logs::{Lines, LogLine, LogQuery, LogSelection, LogSink, LogSource, LogStream};
pub use node_link::{Duplex, ExecRequest, LinkError, LinkHandler, LinkRequest, NodeLink};
pub use presence::{Beat, Member, Presence, Seen};
pub use runtime::{
    Container, ContainerSpec, ContainerState, Exec, Process, Runtime, RuntimeError, Session, SessionControl, Signal,
    TerminalSize, Wakes,
};
pub use samples::{Measure, Sample, SampleQuery, Samples, Subject};
pub use sandbox_network::SandboxNetwork;
pub use store::{Committed, Snapshot, Store};
