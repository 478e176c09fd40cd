use std::path::{Path, PathBuf};

use flynn_core::port::{Mount, MountSource};
use serde::{Deserialize, Serialize};

/// A [`Mount`] as it is noted in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RootMount {
    target: PathBuf,
    read_only: bool,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    Bind(PathBuf),
    Overlay { lower: Vec<PathBuf>, upper: PathBuf, work: PathBuf },
    Tmpfs { bytes: u64 },
}

impl RootMount {
    /// None for a source of a kind that is not known here.
    pub(super) fn of(mount: &Mount) -> Option<Self> {
        let source = match mount.source.clone() {
            MountSource::Bind(path) => Source::Bind(path),
            MountSource::Overlay { lower, upper, work } => Source::Overlay { lower, upper, work },
            MountSource::Tmpfs { bytes } => Source::Tmpfs { bytes },
            _ => return None,
        };
        Some(Self { target: mount.target.clone(), read_only: mount.read_only, source })
    }

    /// Where on the disk lies what is written to it.
    pub(super) fn written(&self) -> Option<&Path> {
        match &self.source {
            Source::Bind(path) | Source::Overlay { upper: path, .. } if !self.read_only => Some(path),
            _ => None,
        }
    }
}

impl From<RootMount> for Mount {
    fn from(noted: RootMount) -> Self {
        let source = match noted.source {
            Source::Bind(path) => MountSource::Bind(path),
            Source::Overlay { lower, upper, work } => MountSource::Overlay { lower, upper, work },
            Source::Tmpfs { bytes } => MountSource::Tmpfs { bytes },
        };
        Self { source, target: noted.target, read_only: noted.read_only }
    }
}
