//! All that a program needs to run containers on its own machine, opened by one call.
//!
//! [`Machine::open`] puts a [`ContainerRuntime`], images, file systems over them and a network together in one
//! folder. What is made of it is one of two:
//!
//! - [`Machine::agent`]: the agent of a node, which runs what a store wants here;
//! - [`Machine::run`]: single programs in images, as a build or a test needs them; sandboxes for builds are made of the
//!   same parts.
//!
//! Whoever wants both opens two machines over the same blobs.

mod agent;
mod capacity;
mod error;
mod options;
mod task;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flynn_core::port::{Blobs, Runtime};
use flynn_core::{Clock, Timestamp};
use tokio::time::{Instant, sleep};

pub use agent::NoEnvironments;
pub use capacity::node_status;
pub use error::MachineError;
pub use options::MachineOptions;
pub use task::Task;

use crate::image::{ImageOptions, ImageStore, LayerTimes};
use crate::network::{BridgeNetwork, BridgeOptions, Egress, Network};
use crate::shim::LogLimits;
use crate::snapshot::{OverlaySnapshots, SnapshotOptions};
use crate::{ContainerOptions, ContainerRuntime, Resolvers, ShimProgram};
use error::unavailable;

/// Where a node says whom to ask for names: the second is what a resolver on the node itself asks.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// How long tasks of an agent that was dropped have to let go of what they use, which they do at their next turn.
const LET_GO: Duration = Duration::from_secs(5);
/// Between two looks whether they have.
const PAUSE: Duration = Duration::from_millis(5);

/// Containers on this machine, with their images, file systems and network, in one folder.
///
/// Containers outlive it; opened again, it has them again. [`clear`](Self::clear) takes away what an earlier process
/// left, [`close`](Self::close) takes away everything but what the folder keeps for the next time: unpacked images.
#[derive(Debug)]
pub struct Machine {
    directory: PathBuf,
    runtime: Arc<ContainerRuntime>,
    images: ImageStore,
    snapshots: Arc<OverlaySnapshots>,
    network: Arc<BridgeNetwork>,
    clock: Arc<dyn Clock>,
    resolvers: Option<Resolvers>,
    authorities: Option<PathBuf>,
    trusts_root: bool,
}

impl Machine {
    /// Takes the folder, or comes back to it. Images come from `blobs`. It needs root, and blocks on the disk for a
    /// moment.
    ///
    /// # Errors
    /// `Invalid` for options that cannot work; `Unavailable` on a machine that cannot run containers, or where
    /// another process has the folder.
    pub async fn open(
        options: MachineOptions,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, MachineError> {
        const OPEN: &str = "open the machine";
        let MachineOptions { directory, shim, name, subnet, quarantine, egress, authorities, trusts_root } = options;
        let directory = std::path::absolute(directory).map_err(unavailable(OPEN))?;
        for folder in ["", "containers", "network", "jobs", "tasks", "logs"] {
            make(&directory.join(folder)).map_err(unavailable(OPEN))?;
        }
        let program = ShimProgram::load(&shim).map_err(|error| {
            let problem = format!("{} cannot be loaded as the program flynn-shim: {error}", shim.display());
            MachineError::Invalid { operation: OPEN, problem }
        })?;
        let cgroups = format!("/flynn/{name}").parse().map_err(|error| MachineError::Invalid {
            operation: OPEN,
            problem: format!("`{name}` is no name of a machine: {error}"),
        })?;
        let place = ImageOptions::new(directory.join("images"));
        let images = ImageStore::open(place, blobs, clock.clone()).await.map_err(unavailable(OPEN))?;
        let log = LogLimits::default();
        let containers =
            ContainerOptions { directory: directory.join("containers"), owner: name.clone(), cgroups, log };
        let runtime = ContainerRuntime::open(containers, program).map_err(unavailable(OPEN))?;
        runtime.sweep().await.map_err(unavailable(OPEN))?;
        let resolvers = Resolvers::of_node(&RESOLVERS.map(Path::new)).map_err(unavailable(OPEN))?;
        let bridge = BridgeOptions {
            directory: directory.join("network"),
            bridge: name.clone(),
            subnet,
            quarantine,
            egress: Egress { resolvers: resolvers.servers.clone(), allowed: egress },
            node: None,
        };
        let network = BridgeNetwork::open(bridge, clock.clone()).await.map_err(unavailable(OPEN))?;
        // The same files make the same layer, whenever they are made.
        let times = LayerTimes::Fixed(Timestamp::EPOCH);
        let snapshots = OverlaySnapshots::new(&images, SnapshotOptions { owner: name, times });
        let resolvers = Some(resolvers).filter(|resolvers| !resolvers.servers.is_empty());
        if let Some(resolvers) = &resolvers {
            fs::write(directory.join("resolv.conf"), resolvers.to_string()).map_err(unavailable(OPEN))?;
        }
        let (runtime, snapshots, network) = (Arc::new(runtime), Arc::new(snapshots), Arc::new(network));
        Ok(Self { directory, runtime, images, snapshots, network, clock, resolvers, authorities, trusts_root })
    }

    /// The containers.
    pub fn runtime(&self) -> Arc<ContainerRuntime> {
        self.runtime.clone()
    }

    /// The images.
    pub fn images(&self) -> ImageStore {
        self.images.clone()
    }

    /// File systems over the images.
    pub fn snapshots(&self) -> Arc<OverlaySnapshots> {
        self.snapshots.clone()
    }

    /// The network.
    pub fn network(&self) -> Arc<BridgeNetwork> {
        self.network.clone()
    }

    /// A file that says whom containers ask for names; none if the machine has no server that they reach.
    pub fn resolv_conf(&self) -> Option<PathBuf> {
        self.resolvers.as_ref().map(|_| self.directory.join("resolv.conf"))
    }

    /// The certificates that containers trust, as the options said.
    pub fn authorities(&self) -> Option<PathBuf> {
        self.authorities.clone()
    }

    /// Kills and takes away all containers, with their networks and file systems. Nothing is under way meanwhile.
    ///
    /// # Errors
    /// `Unavailable` if something could not be taken away; the next call tries again.
    pub async fn clear(&self) -> Result<(), MachineError> {
        const CLEAR: &str = "clear the machine";
        for container in self.runtime.list().await.map_err(unavailable(CLEAR))? {
            self.runtime.remove(container.job).await.map_err(unavailable(CLEAR))?;
        }
        for attachment in self.network.list().await.map_err(unavailable(CLEAR))? {
            Network::detach(&*self.network, attachment.job).await.map_err(unavailable(CLEAR))?;
        }
        for snapshots in [&self.snapshots, &self.job_snapshots()] {
            let all = Timestamp::from_millis(u64::MAX);
            snapshots.sweep(&BTreeSet::new(), all).await.map_err(unavailable(CLEAR))?;
        }
        for folder in ["jobs", "tasks"] {
            let folder = self.directory.join(folder);
            fs::remove_dir_all(&folder).and_then(|()| make(&folder)).map_err(unavailable(CLEAR))?;
        }
        self.runtime.sweep().await.map_err(unavailable(CLEAR))
    }

    /// Clears it, and takes away its bridge and packet filter too. Agents and sandboxes that were made of it are
    /// dropped before.
    ///
    /// # Errors
    /// `Unavailable` if something could not be taken away; `Invalid` if its network is still in use.
    pub async fn close(mut self) -> Result<(), MachineError> {
        const CLOSE: &str = "close the machine";
        let in_use = || MachineError::Invalid {
            operation: CLOSE,
            problem: "something that was made of it is still there: drop it first".to_owned(),
        };
        let deadline = Instant::now() + LET_GO;
        while Arc::get_mut(&mut self.network).is_none() {
            if Instant::now() >= deadline {
                return Err(in_use());
            }
            sleep(PAUSE).await;
        }
        self.clear().await?;
        Arc::into_inner(self.network).ok_or_else(in_use)?.close().await.map_err(unavailable(CLOSE))
    }

    /// Those of jobs, apart from those of tasks and sandboxes.
    fn job_snapshots(&self) -> Arc<OverlaySnapshots> {
        let (owner, times) = ("jobs".to_owned(), LayerTimes::Kept);
        Arc::new(OverlaySnapshots::new(&self.images, SnapshotOptions { owner, times }))
    }
}

fn make(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o711))
}
