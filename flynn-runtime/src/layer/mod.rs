//! Layers: archives of what a file system has more, and less, than the one below it.

mod apply;
mod beneath;
mod entry;
mod error;
mod header;
pub(crate) mod pack;
pub(crate) mod pipe;
mod read;
#[cfg(test)]
mod tests;
mod write;
mod xattr;

use flynn_core::Timestamp;

pub(crate) use apply::{Applied, Rules, apply};
pub(crate) use error::LayerError;
pub(crate) use pack::{Packing, pack};
pub(crate) use xattr::Marks;

/// How large a layer may be, packed or unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerLimits {
    /// Files, directories and marks of what is taken away.
    pub entries: u64,
    /// The contents of all files together.
    pub bytes: u64,
}

impl Default for LayerLimits {
    /// A million entries, 16 GiB.
    fn default() -> Self {
        Self { entries: 1_000_000, bytes: 16 << 30 }
    }
}

/// What becomes of programs that run as their owner, whoever starts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setuid {
    /// They stay as they are. The runtime's containers set `no_new_privs`, which makes them harmless.
    #[default]
    Keep,
    /// They become plain programs.
    Clear,
}

/// Which modification times a layer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerTimes {
    /// Those of its files, in whole seconds.
    #[default]
    Kept,
    /// All this one, in whole seconds, so that the time of making changes nothing.
    Fixed(Timestamp),
}

impl LayerTimes {
    /// The time of a file whose own is `seconds`.
    fn of(self, seconds: u64) -> u64 {
        match self {
            Self::Kept => seconds,
            Self::Fixed(time) => time.as_millis() / 1_000,
        }
    }
}
