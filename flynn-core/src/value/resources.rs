use std::fmt;

use serde::{Deserialize, Serialize};

/// Amounts of what a node has and a job or build asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time in thousandths of a core.
    pub cpu_millis: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Disk space in bytes.
    pub disk_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// One of the dimensions of [`Resources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Disk space.
    Disk,
    /// Processes and threads.
    Pids,
}

impl Dimension {
    /// All dimensions.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Disk, Self::Pids];
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Pids => "pids",
        })
    }
}

impl Resources {
    /// Nothing of anything.
    pub const ZERO: Self = Self { cpu_millis: 0, memory_bytes: 0, disk_bytes: 0, pids: 0 };

    /// The amount of one dimension, in its own unit.
    #[inline]
    pub const fn get(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Cpu => self.cpu_millis,
            Dimension::Memory => self.memory_bytes,
            Dimension::Disk => self.disk_bytes,
            Dimension::Pids => self.pids,
        }
    }

    /// The sum, each dimension stopping at `u64::MAX`.
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
            disk_bytes: self.disk_bytes.saturating_add(other.disk_bytes),
            pids: self.pids.saturating_add(other.pids),
        }
    }

    /// The difference, each dimension stopping at zero.
    pub const fn minus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
            disk_bytes: self.disk_bytes.saturating_sub(other.disk_bytes),
            pids: self.pids.saturating_sub(other.pids),
        }
    }

    /// `count` times these amounts, each dimension stopping at `u64::MAX`.
    pub const fn times(self, count: u64) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_mul(count),
            memory_bytes: self.memory_bytes.saturating_mul(count),
            disk_bytes: self.disk_bytes.saturating_mul(count),
            pids: self.pids.saturating_mul(count),
        }
    }
}
