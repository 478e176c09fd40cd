use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use flynn_core::JobId;
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

/// What a shim is told on its standard input. It may hold secrets, so it is never written to a disk.
#[derive(Serialize, Deserialize)]
pub struct Config {
    /// [`PROTOCOL`](crate::shim::PROTOCOL) of the writer.
    pub protocol: u32,
    /// The job to supervise.
    pub job: JobId,
    /// The mark of the runtime that the job belongs to.
    pub owner: String,
    /// The directory of the job.
    pub directory: PathBuf,
    /// The file that the shim locks for as long as it lives.
    pub lock: PathBuf,
    /// Whether the first process has a terminal.
    pub terminal: bool,
    /// Whether the input of the first process stays open for those who attach.
    pub interactive: bool,
    /// The user and group that own the first process's pipes.
    pub user: (u32, u32),
    /// Bounds of the log.
    pub log: LogLimits,
    /// What is run.
    pub work: Work,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("job", &self.job).field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// What a shim runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there is one value of it in a process")]
pub enum Work {
    /// A process of the node, without isolation.
    Plain(PlainProcess),
    /// A container.
    Container(ContainerWork),
}

/// A process without isolation.
#[derive(Clone, Serialize, Deserialize)]
pub struct PlainProcess {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// The user and group to become; none to stay what the shim is.
    pub user: Option<(u32, u32)>,
}

impl fmt::Debug for PlainProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainProcess").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// A container.
#[derive(Serialize, Deserialize)]
pub struct ContainerWork {
    /// The OCI runtime specification. Its root path is empty: the shim fills in where it mounted `root`.
    pub spec: Spec,
    /// The root file system.
    pub root: RootMount,
    /// What the kernel makes of the specification's system call filter, an instruction in each number. It is loaded in
    /// place of the filter in the specification; without it that is compiled for each process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Vec<u64>>,
}

impl fmt::Debug for ContainerWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerWork").field("root", &self.root).finish_non_exhaustive()
    }
}

/// How the root file system is mounted, in a mount namespace of the shim's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootMount {
    /// A directory that the container may write to.
    Writable(PathBuf),
    /// A directory that the container sees read-only. Mount points that it lacks are made in memory above
    /// it, so that it is never changed.
    ReadOnly(PathBuf),
    /// Layers under one writable directory.
    Overlay {
        /// The read-only directories, the lowest first.
        lower: Vec<PathBuf>,
        /// Where changes go.
        upper: PathBuf,
        /// Scratch space on the file system of `upper`.
        work: PathBuf,
    },
}

/// Bounds of a job's log. Output beyond the rate is dropped and counted, never held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// A file that would grow beyond this many bytes is put aside.
    pub file_bytes: u64,
    /// So many files are kept, the one being written included.
    pub files: u32,
    /// Bytes a second that are written in the long run.
    pub bytes_per_second: u64,
    /// Bytes that may be written at once after a quiet time.
    pub burst_bytes: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { file_bytes: 8 << 20, files: 4, bytes_per_second: 4 << 20, burst_bytes: 16 << 20 }
    }
}
