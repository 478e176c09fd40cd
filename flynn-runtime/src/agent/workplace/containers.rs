use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use flynn_core::disk::{Bounds, DiskUse, Space};
use flynn_core::name::NodeName;
use flynn_core::noun::{Job, Purpose, Stored, Terminal};
use flynn_core::port::{
    ContainerSpec, ExecRequest, Image, ImageError, Images, Mount, Prepared, Process, Secret, SnapshotKey, Snapshots,
};
use flynn_core::{Clock, JobId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use super::environment::{environment, hostname};
use super::mount_record::RootMount;
use super::{Environments, Workplace, WorkplaceError};
use crate::agent::operation::chain;
use crate::agent::pass::{Kept, is_attached};
use crate::container::{ContainerFiles, Resolvers};
use crate::image::{ImageConfig, ImageStore};
use crate::network::{Network, NetworkError};
use crate::shim::{read_json, write_json};
use crate::snapshot::OverlaySnapshots;

/// Whom processes run as where the image says nothing, or root without being trusted with it.
const UNPRIVILEGED: (u32, u32) = (1000, 1000);

/// The workplace of a [`ContainerRuntime`](crate::ContainerRuntime): each job has a writable file system over the
/// layers of its image, an address of its own, and files by which it finds names.
#[derive(Clone)]
pub struct ContainerWorkplace {
    options: Arc<ContainerWorkplaceOptions>,
    parts: ContainerWorkplaceParts,
    making: Arc<Making>,
}

/// Snapshots that are made and not noted yet.
#[derive(Default)]
struct Making {
    /// Shared by those who make one, until it is noted.
    turn: RwLock<()>,
    /// Whether one may have been made and never noted, because its preparation was dropped or failed.
    is_left: AtomicBool,
}

/// Says that a snapshot may be left, unless it was noted.
struct Unnoted<'a>(Option<&'a Making>);

impl Drop for Unnoted<'_> {
    fn drop(&mut self) {
        self.0.into_iter().for_each(|making| making.is_left.store(true, Ordering::SeqCst));
    }
}

/// What a [`ContainerWorkplace`] is told.
#[derive(Debug, Clone)]
pub struct ContainerWorkplaceOptions {
    /// Where it notes what it keeps for which job.
    pub records: PathBuf,
    /// The name of the node.
    pub node: NodeName,
    /// The name servers of containers; none leaves what their images say.
    pub resolvers: Option<Resolvers>,
    /// A file of the node with the certificates of authorities that containers trust; none leaves what their
    /// images say.
    pub authorities: Option<PathBuf>,
    /// Whether an image that asks for root gets it. Otherwise its processes run as user 1000.
    pub trusts_root: bool,
}

/// What a [`ContainerWorkplace`] puts together.
#[derive(Clone)]
pub struct ContainerWorkplaceParts {
    /// The images of the node.
    pub images: ImageStore,
    /// File systems over them, whose owner nobody else is.
    pub snapshots: OverlaySnapshots,
    /// The network of jobs. Others may use it too.
    pub network: Arc<dyn Network>,
    /// What opens the jobs' environments.
    pub environments: Arc<dyn Environments>,
}

impl std::fmt::Debug for ContainerWorkplaceParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerWorkplaceParts").field("images", &self.images).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ContainerWorkplace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerWorkplace").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A snapshot that is complete. An agent that is killed while a supervisor makes the container leaves it to the
/// next one, who must not give the job another.
#[derive(Serialize, Deserialize)]
struct Noted {
    key: String,
    mounts: Vec<RootMount>,
}

impl ContainerWorkplace {
    /// Comes back to the records of an earlier process, or begins anew. Snapshots that it made and did not note any
    /// more are taken away.
    ///
    /// # Errors
    /// `Unavailable` if the records cannot be used.
    pub async fn open(
        options: ContainerWorkplaceOptions,
        parts: ContainerWorkplaceParts,
        clock: &dyn Clock,
    ) -> Result<Self, WorkplaceError> {
        fs::create_dir_all(&options.records).map_err(unwritable)?;
        let workplace = Self { options: Arc::new(options), parts, making: Arc::default() };
        workplace.sweep(clock.now()).await?;
        Ok(workplace)
    }

    /// Takes away the snapshots made before that time that are not noted.
    async fn sweep(&self, before: Timestamp) -> Result<(), WorkplaceError> {
        let mut noted = BTreeSet::new();
        for job in self.jobs()? {
            noted.extend(self.noted(job)?.map(|noted| SnapshotKey(noted.key)));
        }
        self.parts.snapshots.sweep(&noted, before).await.map(drop).map_err(explain)
    }

    /// Takes away what a preparation that was given up has left, unless others are at it: then later.
    async fn sweep_left(&self) -> Result<(), WorkplaceError> {
        let Ok(_turn) = self.making.turn.try_write() else { return Ok(()) };
        if self.making.is_left.swap(false, Ordering::SeqCst) {
            let mut unnoted = Unnoted(Some(&self.making));
            self.sweep(Timestamp::from_millis(u64::MAX)).await?;
            unnoted.0 = None;
        }
        Ok(())
    }

    /// What is kept for a job; the directory is there from before anything is made until all is gone.
    fn directory(&self, job: JobId) -> PathBuf {
        self.options.records.join(job.to_string())
    }

    fn noted(&self, job: JobId) -> Result<Option<Noted>, WorkplaceError> {
        read_json(&snapshot_record(&self.directory(job))).map_err(unreadable)
    }

    fn jobs(&self) -> Result<Vec<JobId>, WorkplaceError> {
        let mut jobs = Vec::new();
        for entry in fs::read_dir(&self.options.records).map_err(unreadable)? {
            jobs.extend(entry.map_err(unreadable)?.file_name().to_str().and_then(|name| name.parse::<JobId>().ok()));
        }
        Ok(jobs)
    }

    async fn image(&self, job: &Stored<Job>) -> Result<(Image, ImageConfig), WorkplaceError> {
        let image = self.parts.images.resolve(job.spec.workload.image).await.map_err(explain)?;
        let config = self.parts.images.config(&image).await.map_err(explain)?;
        Ok((image, config))
    }

    /// Describes a process in the image of a job, but for its program.
    async fn describe(
        &self,
        job: &Stored<Job>,
        image: &Image,
        config: &ImageConfig,
    ) -> Result<Process, WorkplaceError> {
        let user = self.parts.images.user(image, config.user.as_deref()).await.map_err(explain)?;
        let own = self.parts.environments.open(job.id).await?;
        let port = job.spec.workload.process.port;
        let base: Vec<_> = config.env.clone().into_iter().collect();
        Ok(Process {
            command: Vec::new(),
            env: environment(&base, own, job, &self.options.node, port),
            directory: config.working_dir.as_deref().unwrap_or("/").into(),
            user: privileges((user.uid, user.gid), self.options.trusts_root),
            terminal: Terminal::None,
            interactive: true,
        })
    }

    /// The file system of a job, made once.
    async fn root(&self, job: JobId, image: &Image) -> Result<Vec<Mount>, WorkplaceError> {
        if let Some(noted) = self.noted(job)? {
            return Ok(noted.mounts.into_iter().map(Mount::from).collect());
        }
        let _turn = self.making.turn.read().await;
        let mut unnoted = Unnoted(Some(&self.making));
        let Prepared { key, mounts } = self.parts.snapshots.prepare(&image.layers).await.map_err(explain)?;
        let described = mounts.iter().map(RootMount::of).collect::<Option<_>>();
        let mounts_noted = described.ok_or_else(|| WorkplaceError::Refused {
            reason: "the node makes file systems of a kind that it cannot note".to_owned(),
        })?;
        let noted = Noted { key: key.0, mounts: mounts_noted };
        write_json(&snapshot_record(&self.directory(job)), &noted).map_err(unwritable)?;
        unnoted.0 = None;
        Ok(mounts)
    }

    fn files(&self, job: &Stored<Job>, hostname: &str, address: Ipv4Addr) -> io::Result<Vec<Mount>> {
        let files = ContainerFiles {
            hostname: hostname.to_owned(),
            address: Some(address),
            hosts: vec![],
            resolvers: self.options.resolvers.clone(),
            authorities: self.options.authorities.clone(),
        };
        files.write(&self.directory(job.id).join("etc"))
    }
}

#[async_trait]
impl Workplace for ContainerWorkplace {
    async fn prepare(&self, job: &Stored<Job>) -> Result<ContainerSpec, WorkplaceError> {
        let (image, config) = self.image(job).await?;
        let process = self.describe(job, &image, &config).await?;
        fs::create_dir_all(self.directory(job.id)).map_err(unwritable)?;
        let root = self.root(job.id, &image).await?;
        let attachment = self.parts.network.attach(job.id, job.spec.app).await.map_err(no_network)?;
        let hostname = hostname(job);
        let mounts = self.files(job, &hostname, attachment.address).map_err(unwritable)?;
        let terminal = match job.spec.purpose {
            Purpose::OneOff { terminal, .. } => terminal,
            Purpose::Service { .. } => Terminal::None,
        };
        let command = job.spec.workload.process.command.clone();
        Ok(ContainerSpec {
            app: job.spec.app,
            hostname,
            root,
            mounts,
            process: Process { command, terminal, interactive: is_attached(job), ..process },
            resources: job.spec.resources,
            network: Some(attachment.namespace),
        })
    }

    async fn process(&self, job: &Stored<Job>, request: &ExecRequest) -> Result<Process, WorkplaceError> {
        let (image, config) = self.image(job).await?;
        let mut process = self.describe(job, &image, &config).await?;
        let further = request.env.iter().map(|(key, value)| (key.as_str().to_owned(), Secret::new(value.as_str())));
        process.env.extend(further);
        Ok(Process { command: request.command.clone(), terminal: request.terminal, ..process })
    }

    async fn release(&self, job: JobId) -> Result<(), WorkplaceError> {
        if let Err(error) = self.sweep_left().await {
            let problem = chain(&error);
            tracing::warn!(problem, "agent: a file system that no job has is left");
        }
        let directory = self.directory(job);
        if !directory.exists() {
            return Ok(());
        }
        // First what makes room: what follows writes a little.
        if let Some(noted) = self.noted(job)? {
            self.parts.snapshots.discard(&SnapshotKey(noted.key)).await.map_err(explain)?;
        }
        self.parts
            .network
            .detach(job)
            .await
            .map_err(|error| WorkplaceError::unavailable("its network cannot be taken away")(error.into()))?;
        fs::remove_dir_all(directory).map_err(unwritable)
    }

    async fn written(&self, job: JobId) -> Result<Option<DiskUse>, WorkplaceError> {
        let Some(noted) = self.noted(job)? else { return Ok(None) };
        measure(move || {
            let places = noted.mounts.iter().filter_map(RootMount::written);
            places
                .map(|place| DiskUse::of(place, Bounds::default()))
                .try_fold(DiskUse::default(), |sum, used| Ok(sum.plus(used?)))
        })
        .await
        .map(Some)
    }

    async fn space(&self) -> Result<Option<Space>, WorkplaceError> {
        let records = self.options.records.clone();
        measure(move || Space::of(&records)).await.map(Some)
    }

    async fn list(&self) -> Result<BTreeMap<JobId, Kept>, WorkplaceError> {
        let mut kept: BTreeMap<_, _> = self.jobs()?.into_iter().map(|job| (job, Kept::default())).collect();
        if kept.is_empty() {
            return Ok(kept);
        }
        let failed =
            |error: NetworkError| WorkplaceError::unavailable("the node cannot list its network")(error.into());
        // Others than jobs may be on the same network: what was not noted here is not the agent's.
        for attachment in self.parts.network.list().await.map_err(failed)? {
            if let Some(kept) = kept.get_mut(&attachment.job) {
                kept.host = Some(IpAddr::V4(attachment.address));
            }
        }
        Ok(kept)
    }
}

async fn measure<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, WorkplaceError> {
    let unmeasured = WorkplaceError::unavailable("the node cannot measure its disk");
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| unmeasured(error.into())),
        Err(error) => Err(unmeasured(error.into())),
    }
}

fn snapshot_record(directory: &Path) -> PathBuf {
    directory.join("snapshot.json")
}

/// The user and group that processes run as.
pub(crate) fn privileges((user, group): (u32, u32), trusts_root: bool) -> (u32, u32) {
    match (user, group) {
        wanted if trusts_root => wanted,
        (0, _) => UNPRIVILEGED,
        // The usual group of a user without an entry of its own, which would be root's.
        (user, 0) => (user, user),
        wanted => wanted,
    }
}

fn unwritable(error: io::Error) -> WorkplaceError {
    WorkplaceError::unavailable("the node cannot write its records")(error.into())
}

fn unreadable(error: io::Error) -> WorkplaceError {
    WorkplaceError::unavailable("the node cannot read its records")(error.into())
}

fn no_network(error: NetworkError) -> WorkplaceError {
    let what = match &error {
        NetworkError::Exhausted { subnet, .. } => format!("no address is free for it in {subnet}"),
        _ => "the node cannot give it a network".to_owned(),
    };
    WorkplaceError::unavailable(what)(error.into())
}

/// What an image error means to the developer of an app.
fn explain(error: ImageError) -> WorkplaceError {
    let reason = match error {
        ImageError::NotFound { what, .. } => format!("its image is not there: {what} is missing"),
        ImageError::Invalid { problem, .. } => format!("its image cannot be run: {problem}"),
        error @ ImageError::Corrupt { .. } => format!("its image is damaged: {error}"),
        error => return WorkplaceError::unavailable("its image is out of reach")(error.into()),
    };
    WorkplaceError::Refused { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_takes_trust() {
        for (wanted, plain) in [((0, 0), UNPRIVILEGED), ((0, 7), UNPRIVILEGED), ((33, 0), (33, 33)), ((5, 6), (5, 6))] {
            assert_eq!((privileges(wanted, false), privileges(wanted, true)), (plain, wanted));
        }
    }
}
