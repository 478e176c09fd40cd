use std::path::PathBuf;

use flynn_instance::Layout;

/// Where the node keeps what.
pub(crate) struct Paths {
    node: PathBuf,
}

impl Paths {
    pub(crate) fn of(layout: &Layout) -> Self {
        Self { node: layout.node() }
    }

    /// All of it.
    pub(crate) fn all(&self) -> &std::path::Path {
        &self.node
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.node.join("containers")
    }

    pub(crate) fn network(&self) -> PathBuf {
        self.node.join("network")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.node.join("images")
    }

    pub(crate) fn jobs(&self) -> PathBuf {
        self.node.join("jobs")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.node.join("logs")
    }

    /// Files that every container sees.
    pub(crate) fn shown(&self) -> PathBuf {
        self.node.join("shown")
    }

    pub(crate) fn build_containers(&self) -> PathBuf {
        self.node.join("build/containers")
    }

    pub(crate) fn build_network(&self) -> PathBuf {
        self.node.join("build/network")
    }

    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.node.join("build/sandboxes")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.node.join("build/keys")
    }

    pub(crate) fn bases(&self) -> PathBuf {
        self.node.join("build/bases")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.node.join("build/spool")
    }
}
