//! A builder of this machine in one folder, opened by one call.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flynn_core::port::{BlobReader, Blobs, LogSink};
use flynn_core::value::Resources;
use flynn_core::{AppId, Clock, Ids};

use crate::base::{self, BaseDriver, BaseSettings, BaseSource, Bases, MakeError};
use crate::builder::{Artifact, BuildError, BuildRequest, Builder, ImageBuilder, ImageBuilderParts, source_problem};
use crate::buildpack::{self, Buildpack};
use crate::keys::Keys;
use crate::sandbox::{SandboxPorts, Sandboxes};
use crate::settings::Settings;
use crate::source::{Intake, SourceTree};

/// The step in which a source tree is taken in.
const RECEIVE: &str = "receive source";

/// Builds images on this machine, with the buildpacks, base images and sandboxes that a node of Flynn has.
///
/// It needs no store: [`build`](Self::build) takes a source tree and answers with an image. For builds that a store
/// places on a node, give [`builder`](Self::builder) to a [`Worker`](crate::worker::Worker).
pub struct Workshop {
    builder: Arc<ImageBuilder>,
    bases: Bases,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    intake: Intake,
    ids: Mutex<Ids>,
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").field("builder", &self.builder).field("bases", &self.bases).finish_non_exhaustive()
    }
}

/// How a [`Workshop`] works.
#[derive(Clone)]
pub struct WorkshopOptions {
    /// Its folder, which is made if it is missing. One process uses it at a time.
    pub directory: PathBuf,
    /// Where base images come from.
    pub bases: BaseSettings,
    /// What an operator decides about builds.
    pub settings: Settings,
    /// What knows languages. The first that detects something builds.
    pub buildpacks: Vec<Arc<dyn Buildpack>>,
}

impl std::fmt::Debug for WorkshopOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkshopOptions").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Why a workshop cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkshopError {
    /// Its folder cannot be used.
    #[error("open the workshop: {} cannot be used", path.display())]
    Folder {
        /// What cannot be used.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// Base images cannot be made with these settings, or another process makes them here.
    #[error("open the workshop")]
    Bases(#[source] MakeError),
}

impl WorkshopOptions {
    /// A workshop in `directory` with all buildpacks, default settings, and base images of Debian's packages.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        let directory = std::path::absolute(&directory).unwrap_or_else(|_| directory.as_ref().to_owned());
        let bases = BaseSettings::new(directory.join("bases"));
        Self { directory, bases, settings: Settings::default(), buildpacks: buildpack::all() }
    }

    /// With base images from archives where one is given.
    #[must_use]
    pub fn with_bases(mut self, run: Option<PathBuf>, build: Option<PathBuf>) -> Self {
        self.bases.run = run.map_or(self.bases.run, BaseSource::Archive);
        self.bases.build = build.map_or(self.bases.build, BaseSource::Archive);
        self
    }
}

impl Workshop {
    /// Takes the folder, or comes back to it. Nothing is built before the driver is run, which makes the base images.
    /// It blocks on the disk for a moment.
    ///
    /// # Errors
    /// `Folder` and `Bases`.
    pub fn open(options: WorkshopOptions, ports: SandboxPorts) -> Result<(Self, BaseDriver), WorkshopError> {
        let WorkshopOptions { directory, bases, settings, buildpacks } = options;
        let (spool, keys) = (directory.join("spool"), directory.join("keys"));
        let folder = |path: &Path| {
            let path = path.to_owned();
            move |source| WorkshopError::Folder { path, source }
        };
        std::fs::create_dir_all(&spool).map_err(folder(&spool))?;
        let (settings, blobs, clock) = (Arc::new(settings), ports.blobs.clone(), ports.clock.clone());
        let (bases, driver) = base::open(bases, blobs.clone(), clock.clone()).map_err(WorkshopError::Bases)?;
        let sandboxes = Sandboxes::open(ports, settings.clone(), &directory).map_err(folder(&directory))?;
        let intake = Intake { limits: settings.source, spool: spool.clone() };
        let builder = ImageBuilder::new(ImageBuilderParts {
            blobs: blobs.clone(),
            bases: Arc::new(bases.clone()),
            sandboxes: Arc::new(sandboxes),
            keys: Keys::open(keys.clone(), clock.clone()).map_err(folder(&keys))?,
            buildpacks,
            settings,
            clock: clock.clone(),
            spool,
        });
        let ids = Mutex::new(Ids::from_entropy());
        Ok((Self { builder: Arc::new(builder), bases, blobs, clock, intake, ids }, driver))
    }

    /// Builds the source tree in a tar archive, plain or compressed with gzip. Its log goes to `log` as it is written.
    /// Builds of one `app` share caches.
    ///
    /// Dropping the future abandons the build; [`clear`](Self::clear) then takes away what it left.
    ///
    /// # Errors
    /// The failing step, with a reason for whoever wrote the source.
    pub async fn build(
        &self,
        app: AppId,
        archive: BlobReader,
        resources: Resources,
        log: &dyn LogSink,
    ) -> Result<Artifact, BuildError> {
        let tree = SourceTree::receive(archive, &self.intake).await.map_err(|error| source_problem(RECEIVE, error))?;
        let source = tree.store(&*self.blobs).await.map_err(|error| source_problem(RECEIVE, error))?.digest;
        let build = self.ids.lock().unwrap_or_else(PoisonError::into_inner).next(self.clock.now());
        let outcome = self.builder.build(BuildRequest { build, app, source, resources, reserve: 0 }, log).await;
        self.builder.clear(build).await?;
        outcome
    }

    /// Takes away what builds left that were abandoned, also those of earlier processes. No build is under way
    /// meanwhile.
    ///
    /// # Errors
    /// `Unavailable`; the next call tries again.
    pub async fn clear(&self) -> Result<(), BuildError> {
        self.builder.clear_all().await
    }

    /// What builds.
    pub fn builder(&self) -> Arc<ImageBuilder> {
        self.builder.clone()
    }

    /// The base images.
    pub fn bases(&self) -> &Bases {
        &self.bases
    }
}
