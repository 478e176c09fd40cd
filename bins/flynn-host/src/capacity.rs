//! What the machine has.

use std::fs;
use std::path::Path;

use anyhow::Context;
use flynn_core::noun::NodeStatus;
use flynn_core::value::Resources;
use flynn_runtime::shim::boot_id;

/// The node as it is to be known: what it has, with its disk where `data` is, and which boot of which release it is.
pub(crate) fn status(data: &Path) -> anyhow::Result<NodeStatus> {
    let cores = std::thread::available_parallelism().context("the number of processors cannot be found out")?;
    let disk =
        rustix::fs::statvfs(data).with_context(|| format!("the disk of {} cannot be looked at", data.display()))?;
    let capacity = Resources {
        cpu_millis: cores.get() as u64 * 1_000,
        memory_bytes: memory()?,
        disk_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        pids: number("/proc/sys/kernel/pid_max")?,
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(NodeStatus { capacity, version, boot: boot_id()?, ..NodeStatus::default() })
}

fn memory() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.strip_suffix("kB")?.trim().parse().ok());
    let kib: u64 = total.context("/proc/meminfo does not say how much memory there is")?;
    Ok(kib * 1_024)
}

fn number(path: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("{path} cannot be read"))?;
    text.trim().parse().with_context(|| format!("{path} holds no number"))
}
