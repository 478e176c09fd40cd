//! What runs containers on this machine, for apps and for builds, as it was left by whoever had it before.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use flynn_build::sandbox::{SandboxPorts, Sandboxes};
use flynn_build::settings::Settings;
use flynn_core::name::NodeName;
use flynn_core::port::Blobs;
use flynn_core::{Clock, SystemClock};
use flynn_instance::Layout;
use flynn_instance::crash::{CrashPoints, WatchedRuntime};
use flynn_runtime::agent::{ContainerWorkplace, ContainerWorkplaceOptions, ContainerWorkplaceParts, Environments};
use flynn_runtime::cgroup::CgroupParent;
use flynn_runtime::image::{ImageOptions, ImageStore, LayerTimes};
use flynn_runtime::network::{BridgeNetwork, BridgeOptions, Egress, Subnet};
use flynn_runtime::shim::LogLimits;
use flynn_runtime::snapshot::{OverlaySnapshots, SnapshotOptions};
use flynn_runtime::{ContainerOptions, ContainerRuntime, Resolvers, ShimProgram};

use crate::arguments::{EgressArguments, NodePlace};
use crate::paths::Paths;

/// For how long the address of a job that is gone rests, if no router says earlier that it has forgotten it.
const QUARANTINE: Duration = Duration::from_secs(24 * 3_600);
/// Builds are not routed to.
const BUILD_QUARANTINE: Duration = Duration::ZERO;

/// The containers of a node, their networks and their file systems.
pub(crate) struct Machinery {
    pub(crate) paths: Paths,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) images: ImageStore,
    pub(crate) jobs: Containers,
    pub(crate) builds: Containers,
    crash: CrashPoints,
}

/// Containers of one kind, which know nothing of those of the other.
pub(crate) struct Containers {
    pub(crate) runtime: Arc<ContainerRuntime>,
    pub(crate) network: Arc<BridgeNetwork>,
    pub(crate) snapshots: Arc<OverlaySnapshots>,
}

/// What tells the containers of one kind apart.
struct Kind {
    owner: String,
    cgroup: String,
    directory: PathBuf,
    bridge: String,
    subnet: Subnet,
    network: PathBuf,
    quarantine: Duration,
    egress: Egress,
}

/// Where containers may go although it is not the public Internet.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    pub(crate) jobs: Egress,
    pub(crate) builds: Egress,
}

impl Ways {
    /// What the operator allows, and whom containers ask for names.
    pub(crate) fn of(arguments: &EgressArguments, resolvers: Option<&Resolvers>) -> Self {
        let resolvers = resolvers.map(|resolvers| resolvers.servers.clone()).unwrap_or_default();
        let EgressArguments { egress_allow, build_egress_allow } = arguments;
        let builds = [egress_allow.as_slice(), build_egress_allow].concat();
        Self {
            jobs: Egress { resolvers: resolvers.clone(), allowed: egress_allow.clone() },
            builds: Egress { resolvers, allowed: builds },
        }
    }
}

impl Machinery {
    /// Comes back to what is there, or begins anew.
    pub(crate) async fn open(
        place: &NodePlace,
        layout: &Layout,
        blobs: Arc<dyn Blobs>,
        ways: Ways,
        crash: &CrashPoints,
    ) -> anyhow::Result<Self> {
        let (paths, names, clock) = (Paths::of(layout), layout.names(), Arc::new(SystemClock));
        // Programs that make base images give up being root, and have to pass through.
        make_with(paths.all(), 0o711)?;
        for private in [paths.jobs(), paths.logs(), paths.sandboxes(), paths.keys(), paths.spool()] {
            make(&private)?;
        }
        let program = shim()?;
        let images = ImageStore::open(ImageOptions::new(paths.images()), blobs.clone(), clock.clone()).await?;
        let jobs = Kind {
            owner: names.owner(),
            cgroup: names.cgroup(),
            directory: paths.containers(),
            bridge: names.bridge(),
            subnet: given_or(place.subnet, &names.subnet())?,
            network: paths.network(),
            quarantine: QUARANTINE,
            egress: ways.jobs,
        };
        let builds = Kind {
            owner: names.build_owner(),
            cgroup: names.build_cgroup(),
            directory: paths.build_containers(),
            bridge: names.build_bridge(),
            subnet: given_or(place.build_subnet, &names.build_subnet())?,
            network: paths.build_network(),
            quarantine: BUILD_QUARANTINE,
            egress: ways.builds,
        };
        let jobs = Containers::open(jobs, &program, &images, LayerTimes::Kept, &clock).await?;
        // The same files make the same layer, whenever they are made.
        let times = LayerTimes::Fixed(flynn_core::Timestamp::EPOCH);
        let group: CgroupParent = builds.cgroup.parse()?;
        let builds = Containers::open(builds, &program, &images, times, &clock).await?;
        if let Err(error) = yield_to_apps(&group) {
            tracing::warn!(%error, "builds compete with apps for the processor");
        }
        Ok(Self { paths, clock, blobs, images, jobs, builds, crash: crash.clone() })
    }

    /// What jobs are made from.
    pub(crate) async fn workplace(
        &self,
        node: NodeName,
        resolvers: Option<Resolvers>,
        authorities: Option<PathBuf>,
        environments: Arc<dyn Environments>,
    ) -> anyhow::Result<ContainerWorkplace> {
        let records = self.paths.jobs();
        let options = ContainerWorkplaceOptions { records, node, resolvers, authorities, trusts_root: false };
        let Containers { network, snapshots, .. } = &self.jobs;
        let parts = ContainerWorkplaceParts {
            images: self.images.clone(),
            snapshots: OverlaySnapshots::clone(snapshots),
            network: network.clone(),
            environments,
        };
        Ok(ContainerWorkplace::open(options, parts, &*self.clock).await?)
    }

    /// Takes away file systems of builds that nobody carries on. To be called while no build is under way.
    pub(crate) async fn sweep_builds(&self) -> anyhow::Result<()> {
        let sandboxes = self.sandboxes(Arc::new(Settings::default()))?;
        // The records of sandboxes know more of them, and are gone through first.
        sandboxes.clear_all().await.map_err(|error| anyhow::anyhow!(error)).context("what builds left stays")?;
        let discarded = self.builds.snapshots.sweep(&BTreeSet::new(), self.clock.now()).await?;
        if !discarded.is_empty() {
            tracing::info!(count = discarded.len(), "file systems of builds that nobody carries on were taken away");
        }
        Ok(())
    }

    /// Where builds run their commands.
    pub(crate) fn sandboxes(&self, settings: Arc<Settings>) -> anyhow::Result<Sandboxes> {
        let Containers { runtime, network, snapshots } = &self.builds;
        let ports = SandboxPorts {
            runtime: Arc::new(WatchedRuntime::of_builds(runtime.clone(), &self.crash)),
            exec: runtime.clone(),
            snapshots: snapshots.clone(),
            blobs: self.blobs.clone(),
            network: network.clone(),
            clock: self.clock.clone(),
        };
        Sandboxes::open(ports, settings, &self.paths.sandboxes()).context("the records of builds cannot be kept")
    }
}

impl Containers {
    async fn open(
        kind: Kind,
        program: &ShimProgram,
        images: &ImageStore,
        times: LayerTimes,
        clock: &Arc<SystemClock>,
    ) -> anyhow::Result<Self> {
        let Kind { owner, cgroup, directory, bridge, subnet, network, quarantine, egress } = kind;
        let parent: CgroupParent = cgroup.parse()?;
        make(&directory)?;
        make(&network)?;
        let options = ContainerOptions { directory, owner: owner.clone(), cgroups: parent, log: LogLimits::default() };
        let runtime = ContainerRuntime::open(options, program.clone())?;
        runtime.sweep().await?;
        let options = BridgeOptions { directory: network, bridge, subnet, quarantine, egress, node: None };
        let network = BridgeNetwork::open(options, clock.clone()).await?;
        let snapshots = OverlaySnapshots::new(images, SnapshotOptions { owner, times });
        Ok(Self { runtime: Arc::new(runtime), network: Arc::new(network), snapshots: Arc::new(snapshots) })
    }
}

/// Leaves builds the processor time that apps do not want, and a sixteenth of it where all want some.
fn yield_to_apps(builds: &CgroupParent) -> std::io::Result<()> {
    const VERSION_1: (&str, &str, &str) = ("/sys/fs/cgroup/cpu", "cpu.shares", "64");
    const VERSION_2: (&str, &str, &str) = ("/sys/fs/cgroup", "cpu.weight", "6");
    let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let (root, file, share) = if is_unified { VERSION_2 } else { VERSION_1 };
    let group = Path::new(root).join(builds.relative());
    fs::create_dir_all(&group)?;
    fs::write(group.join(file), share)
}

fn given_or(given: Option<Subnet>, derived: &str) -> anyhow::Result<Subnet> {
    match given {
        Some(given) => Ok(given),
        None => Ok(derived.parse()?),
    }
}

/// Makes a folder that only this user may enter.
pub(crate) fn make(path: &Path) -> anyhow::Result<()> {
    make_with(path, 0o700)
}

/// Makes a folder with this mode, or gives it this mode.
pub(crate) fn make_with(path: &Path, mode: u32) -> anyhow::Result<()> {
    let made = fs::create_dir_all(path).and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)));
    made.with_context(|| format!("the folder {} cannot be made", path.display()))
}

/// The supervisor of this release, beside this program.
fn shim() -> anyhow::Result<ShimProgram> {
    let own = std::env::current_exe().context("it cannot be found out where this program is")?;
    let path = own.with_file_name("flynn-shim");
    ShimProgram::load(&path)
        .with_context(|| format!("{} cannot be loaded: install all programs of a release together", path.display()))
}
