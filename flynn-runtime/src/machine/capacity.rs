use std::fs;
use std::io;
use std::path::Path;

use flynn_core::noun::NodeStatus;
use flynn_core::value::Resources;

use crate::shim::boot_id;

/// This computer as a node: what it has, with its disk where `data` is, and which boot of it this is. It blocks.
///
/// # Errors
/// The kernel does not say.
pub fn node_status(data: &Path, version: &str) -> io::Result<NodeStatus> {
    let disk = rustix::fs::statvfs(data)?;
    let capacity = Resources {
        cpu_millis: std::thread::available_parallelism()?.get() as u64 * 1_000,
        memory_bytes: memory()?,
        disk_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        pids: parse(&fs::read_to_string("/proc/sys/kernel/pid_max")?)?,
    };
    Ok(NodeStatus { capacity, version: version.to_owned(), boot: boot_id()?, ..NodeStatus::default() })
}

fn memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB"));
    Ok(parse(total.unwrap_or_default())? * 1_024)
}

fn parse(text: &str) -> io::Result<u64> {
    text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
