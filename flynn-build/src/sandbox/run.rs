use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flynn_core::disk::Space;
use flynn_core::noun::{Exit, Terminal};
use flynn_core::port::{
    Blobs, ContainerSpec, Exec, Mount, MountSource, Process, Runtime, SandboxNetwork, Secret, Session, Signal,
    SnapshotKey, Snapshots,
};
use flynn_core::value::Digest;
use flynn_core::{AppId, BoxError, BuildId, Clock, Ids, JobId};

use super::Step;
use super::caches::{CacheInUse, Caches};
use super::lines::{LastLines, read_lines};
use super::meter::Meter;
use super::record::{Record, Records};
use super::underway::Underway;
use super::words::reason;
use crate::builder::{BuildError, BuildLog, BuildRequest};
use crate::image::{LayerFiles, OWNER};
use crate::settings::Settings;

/// Where the certificates of the node are seen in a sandbox: where Debian keeps its own.
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The variables by which tools are told of them that have some of their own.
const CA_VARIABLES: [&str; 6] =
    ["CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"];
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What sandboxes are made with.
#[derive(Clone)]
pub struct SandboxPorts {
    /// The containers. It is used for nothing else: whatever is in it that no build knows is removed.
    pub runtime: Arc<dyn Runtime>,
    /// The same, as what joins their output.
    pub exec: Arc<dyn Exec>,
    /// The file systems.
    pub snapshots: Arc<dyn Snapshots>,
    /// Where layers lie.
    pub blobs: Arc<dyn Blobs>,
    /// The network.
    pub network: Arc<dyn SandboxNetwork>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for SandboxPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxPorts").finish_non_exhaustive()
    }
}

/// The sandboxes of a node. Each runs one command, and is gone afterwards.
#[derive(Debug, Clone)]
pub struct Sandboxes {
    ports: SandboxPorts,
    settings: Arc<Settings>,
    directory: PathBuf,
    records: Records,
    caches: Caches,
    ids: Arc<Mutex<Ids>>,
    underway: Underway,
}

/// A command that was started.
struct Started {
    snapshot: SnapshotKey,
    session: Session,
    meter: Meter,
    _cache: Option<CacheInUse>,
}

/// How a command ended that was run to its end.
struct Ended {
    exit: Exit,
    last_lines: Vec<String>,
}

impl Sandboxes {
    /// Sandboxes that keep their records, scratch space and caches in `directory`. It blocks.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(ports: SandboxPorts, settings: Arc<Settings>, directory: &Path) -> io::Result<Self> {
        let place = |name| -> io::Result<PathBuf> {
            let path = std::path::absolute(directory.join(name))?;
            std::fs::create_dir_all(&path)?;
            Ok(path)
        };
        let scratch = place("scratch")?;
        let records = Records::new(place("sandboxes")?, scratch.clone());
        let caches = Caches::new(place("caches")?, scratch);
        let (directory, ids) = (directory.to_owned(), Arc::new(Mutex::new(Ids::from_entropy())));
        Ok(Self { ports, settings, directory, records, caches, ids, underway: Underway::default() })
    }

    /// Runs `step` for a build and makes what it wrote into a layer, which is then durable.
    ///
    /// Dropping the future leaves the sandbox to [`clear`](Self::clear), which waits for what was being done to it.
    ///
    /// # Errors
    /// `Failed` if the command did not end with 0; `Unavailable` if it could not be run.
    pub async fn run(&self, request: &BuildRequest, step: Step, log: &BuildLog<'_>) -> Result<Digest, BuildError> {
        let name = step.name;
        let sandbox = self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(self.ports.clock.now());
        self.underway.add(sandbox, request.build);
        let outcome = self.run_and_keep(sandbox, request, step, log).await;
        // Whatever happened, nothing of the sandbox stays.
        let closed = self.close(sandbox).await.map_err(|error| BuildError::unavailable(name, error));
        let layer = outcome?;
        closed?;
        Ok(layer)
    }

    /// Brings the layers of `chain` to this node, so that the first step over them need not.
    ///
    /// # Errors
    /// One is not in the blob store, or the node cannot take it.
    pub async fn warm(&self, chain: &[Digest]) -> Result<(), BoxError> {
        let prepared = self.ports.snapshots.prepare(chain).await?;
        Ok(self.ports.snapshots.discard(&prepared.key).await?)
    }

    /// Stops and takes away all sandboxes of a build whose [`run`](Self::run) was dropped.
    ///
    /// # Errors
    /// The first thing that could not be taken away; all others were tried.
    pub async fn clear(&self, build: BuildId) -> Result<(), BoxError> {
        let known = self.known().await?;
        let of_build = |record: &Option<Record>| record.as_ref().is_some_and(|record| record.build == build);
        let recorded = known.into_iter().filter(|(_, record)| of_build(record)).map(|(sandbox, _)| sandbox);
        let all: BTreeSet<_> = recorded.chain(self.underway.of(build)).collect();
        self.close_all(all.into_iter()).await
    }

    /// The same for all builds, and for containers that no build knows. None is under way meanwhile.
    ///
    /// # Errors
    /// Those of `clear`.
    pub async fn clear_all(&self) -> Result<(), BoxError> {
        let known = self.known().await?.into_iter().map(|(sandbox, _)| sandbox);
        let containers = self.ports.runtime.list().await?.into_iter().map(|container| container.job);
        let all: BTreeSet<_> = known.chain(containers).chain(self.underway.all()).collect();
        self.close_all(all.into_iter()).await?;
        let records = self.records.clone();
        Ok(tokio::task::spawn_blocking(move || records.empty_scratch()).await??)
    }

    /// Throws away caches that are over their limits.
    ///
    /// # Errors
    /// One could not be read or thrown away.
    pub async fn trim_caches(&self) -> Result<(), BoxError> {
        let (caches, settings) = (self.caches.clone(), Arc::clone(&self.settings));
        let trim = move || caches.trim(settings.cache_bytes_per_app, settings.cache_bytes);
        Ok(tokio::task::spawn_blocking(trim).await??)
    }

    async fn known(&self) -> Result<Vec<(JobId, Option<Record>)>, BoxError> {
        let records = self.records.clone();
        Ok(tokio::task::spawn_blocking(move || records.all()).await??)
    }

    async fn close_all(&self, sandboxes: impl Iterator<Item = JobId>) -> Result<(), BoxError> {
        let mut outcome = Ok(());
        for sandbox in sandboxes {
            tracing::info!(%sandbox, "a sandbox that was left is taken away");
            outcome = outcome.and(self.close(sandbox).await);
        }
        outcome
    }

    /// Whether enough of the disk is left to begin something, which takes a moment to find out.
    ///
    /// # Errors
    /// `Unavailable` if not.
    pub fn check_room(&self, step: &str, request: &BuildRequest) -> Result<(), BuildError> {
        let space = Space::of(&self.directory).map_err(|error| BuildError::unavailable(step, error))?;
        match space.shortage(request.reserve) {
            Some(shortage) => Err(BuildError::unavailable(step, format!("the disk of the node is full: {shortage}"))),
            None => Ok(()),
        }
    }

    async fn run_and_keep(
        &self,
        sandbox: JobId,
        request: &BuildRequest,
        step: Step,
        log: &BuildLog<'_>,
    ) -> Result<Digest, BuildError> {
        let name = step.name;
        let unavailable = |error: BoxError| BuildError::unavailable(name, error);
        self.check_room(name, request)?;
        let (own, whose) = (self.clone(), request.clone());
        let begin = async move { own.begin(sandbox, &whose, step).await };
        let Started { snapshot, session, meter, _cache } =
            self.underway.to_its_end(sandbox, begin).await.map_err(unavailable)??;
        let ended = self.wait(sandbox, session, &meter, log).await.map_err(unavailable)?;
        if !ended.exit.is_success() {
            return Err(BuildError::failed(name, reason(&ended.exit, &ended.last_lines, request.resources)));
        }
        let SandboxPorts { runtime, snapshots, .. } = self.ports.clone();
        let keep = async move {
            // The file system is in use for as long as the container is there.
            runtime.remove(sandbox).await?;
            Ok::<_, BoxError>(snapshots.commit(&snapshot).await?)
        };
        self.underway.to_its_end(sandbox, keep).await.and_then(|kept| kept).map_err(unavailable)
    }

    async fn begin(&self, sandbox: JobId, request: &BuildRequest, step: Step) -> Result<Started, BuildError> {
        let name = step.name;
        let (snapshot, root) = self.prepare(sandbox, request, &step).await?;
        let started = self.start(sandbox, request, step, root).await;
        let (session, meter, cache) = started.map_err(|error| BuildError::unavailable(name, error))?;
        Ok(Started { snapshot, session, meter, _cache: cache })
    }

    async fn prepare(
        &self,
        sandbox: JobId,
        request: &BuildRequest,
        step: &Step,
    ) -> Result<(SnapshotKey, Vec<Mount>), BuildError> {
        let unavailable = |error: BoxError| BuildError::unavailable(step.name, error);
        self.record(sandbox, request.build, None).await.map_err(unavailable)?;
        let mut chain = vec![self.mount_points(step.name).await?];
        chain.extend(&step.chain);
        let prepared = self.ports.snapshots.prepare(&chain).await.map_err(|error| unavailable(error.into()))?;
        self.record(sandbox, request.build, Some(prepared.key.0.clone())).await.map_err(unavailable)?;
        Ok((prepared.key, prepared.mounts))
    }

    /// The layer with all mount points, so that making one leaves no trace in what a step wrote.
    async fn mount_points(&self, step: &'static str) -> Result<Digest, BuildError> {
        const ROOT: (u32, u32) = (0, 0);
        LayerFiles::default()
            .folder("app", 0o755, OWNER)
            .folder("cache", 0o755, OWNER)
            .folder("etc", 0o755, ROOT)
            .file("etc/resolv.conf", 0o644, ROOT, b"")
            .folder("etc/ssl", 0o755, ROOT)
            .folder("etc/ssl/certs", 0o755, ROOT)
            .file("etc/ssl/certs/ca-certificates.crt", 0o644, ROOT, b"")
            .folder("inputs", 0o755, ROOT)
            .folder("layers", 0o755, OWNER)
            .folder("tmp", 0o1777, ROOT)
            .store(step, &*self.ports.blobs)
            .await
    }

    async fn start(
        &self,
        sandbox: JobId,
        request: &BuildRequest,
        mut step: Step,
        root: Vec<Mount>,
    ) -> Result<(Session, Meter, Option<CacheInUse>), BoxError> {
        let cache = self.cache(request.app, &step).await?;
        let (cache, in_use) = cache.unzip();
        let mut mounts = self.mounts(sandbox, cache, &step).await?;
        mounts.append(&mut step.mounts);
        let network = match step.network {
            true => Some(self.ports.network.attach(sandbox, request.app, &self.settings.servers()).await?),
            false => None,
        };
        let meter = Meter::of(root.iter().chain(&mounts), request.resources.disk_bytes).await?;
        let spec = ContainerSpec {
            app: request.app,
            hostname: "build".to_owned(),
            root,
            mounts,
            process: Process {
                env: self.env(&step),
                command: step.command,
                directory: step.directory,
                user: step.user,
                terminal: Terminal::None,
                interactive: true,
            },
            resources: request.resources,
            network,
        };
        self.ports.runtime.create(sandbox, spec).await?;
        let session = self.ports.exec.attach(sandbox).await?;
        self.ports.runtime.start(sandbox).await?;
        Ok((session, meter, in_use))
    }

    /// Writes what a command prints into the log until it ends, or ends it when it has written too much to the disk.
    async fn wait(
        &self,
        sandbox: JobId,
        session: Session,
        meter: &Meter,
        log: &BuildLog<'_>,
    ) -> Result<Ended, BoxError> {
        drop(session.input);
        let last_lines = Mutex::new(LastLines::default());
        let take = |line: &str| {
            last_lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            log.line(line);
        };
        let errors = session.errors.unwrap_or_else(|| Box::new(tokio::io::empty()));
        let ((output, errors, exit), over) = {
            let ended = async {
                tokio::join!(read_lines(session.output, take), read_lines(errors, take), session.control.wait())
            };
            tokio::pin!(ended);
            tokio::select! {
                outcome = &mut ended => (outcome, meter.look().await?),
                over = meter.exceeded() => {
                    self.ports.runtime.signal(sandbox, Signal::Kill).await?;
                    (ended.await, Some(over))
                }
            }
        };
        output?;
        errors?;
        let last_lines = last_lines.into_inner().unwrap_or_else(PoisonError::into_inner).into_lines();
        let exit = match over {
            Some(over) => Exit::OutOfDisk { reason: over.to_string() },
            None => exit?,
        };
        Ok(Ended { exit, last_lines })
    }

    /// The mounts that every sandbox has, and those that this one asked for.
    async fn mounts(&self, sandbox: JobId, cache: Option<PathBuf>, step: &Step) -> Result<Vec<Mount>, BoxError> {
        let (records, files) = (self.records.clone(), step.files.clone());
        let make = move || records.make_scratch(sandbox, files.iter());
        let scratch = tokio::task::spawn_blocking(make).await??;
        let bind = |source: PathBuf, target: &str, read_only| Mount {
            source: MountSource::Bind(source),
            target: PathBuf::from(target),
            read_only,
        };
        let mut mounts = vec![bind(scratch.join("tmp"), "/tmp", false)];
        if !step.files.is_empty() {
            mounts.push(bind(scratch.join("inputs"), "/inputs", true));
        }
        mounts.extend(cache.map(|cache| bind(cache, "/cache", false)));
        if step.network {
            mounts.extend(self.settings.ca_bundle.clone().map(|file| bind(file, CA_BUNDLE, true)));
            mounts.extend(self.settings.resolv_conf.clone().map(|file| bind(file, RESOLV_CONF, true)));
        }
        Ok(mounts)
    }

    async fn cache(&self, app: AppId, step: &Step) -> Result<Option<(PathBuf, CacheInUse)>, BoxError> {
        if !step.cache {
            return Ok(None);
        }
        let (caches, now) = (self.caches.clone(), self.ports.clock.now());
        Ok(Some(tokio::task::spawn_blocking(move || caches.take(app, now)).await??))
    }

    fn env(&self, step: &Step) -> BTreeMap<String, Secret> {
        let mut env = BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned())]);
        if step.network {
            env.extend(self.settings.proxy.clone());
            if self.settings.ca_bundle.is_some() {
                env.extend(CA_VARIABLES.map(|name| (name.to_owned(), CA_BUNDLE.to_owned())));
            }
        }
        env.extend(step.env.clone());
        env.into_iter().map(|(name, value)| (name, Secret::new(value.into_bytes()))).collect()
    }

    async fn record(&self, sandbox: JobId, build: BuildId, snapshot: Option<String>) -> Result<(), BoxError> {
        let records = self.records.clone();
        let record = Record { build, snapshot };
        Ok(tokio::task::spawn_blocking(move || records.write(sandbox, &record)).await??)
    }

    /// Takes away whatever there is of a sandbox, its record last, once nothing is done to it any more.
    async fn close(&self, sandbox: JobId) -> Result<(), BoxError> {
        let _turn = self.underway.turn(sandbox).await;
        self.ports.runtime.remove(sandbox).await?;
        self.ports.network.detach(sandbox).await?;
        let records = self.records.clone();
        let record = tokio::task::spawn_blocking(move || records.read(sandbox)).await??;
        if let Some(snapshot) = record.and_then(|record| record.snapshot) {
            self.ports.snapshots.discard(&SnapshotKey(snapshot)).await?;
        }
        let records = self.records.clone();
        tokio::task::spawn_blocking(move || records.delete(sandbox)).await??;
        self.underway.remove(sandbox);
        Ok(())
    }
}
