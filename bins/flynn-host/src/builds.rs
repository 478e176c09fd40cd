//! What builds on this node.

use std::path::PathBuf;
use std::sync::Arc;

use flynn_build::base::{BaseDriver, BaseSettings, BaseSource, Bases};
use flynn_build::builder::{ImageBuilder, ImageBuilderParts};
use flynn_build::buildpack;
use flynn_build::keys::Keys;
use flynn_build::settings::{Mirrors, Settings};
use flynn_build::worker::{Worker, WorkerParts};
use flynn_core::NodeId;
use flynn_core::client::RemoteStore;
use flynn_core::port::LogSink;
use flynn_instance::crash::Watched;

use crate::arguments::BuildArguments;
use crate::machinery::Machinery;

/// The worker of a node and what makes the images that it builds on.
pub(crate) struct Builds {
    pub(crate) worker: Worker<Watched<RemoteStore>>,
    pub(crate) bases: BaseDriver,
    /// The images that builds begin with, as far as they are made.
    pub(crate) made: Bases,
}

impl Builds {
    /// Nothing is built before both parts are run.
    pub(crate) fn open(
        arguments: &BuildArguments,
        node: NodeId,
        machinery: &Machinery,
        resolv_conf: Option<PathBuf>,
        store: Arc<Watched<RemoteStore>>,
        log: Arc<dyn LogSink>,
    ) -> anyhow::Result<Self> {
        let paths = &machinery.paths;
        let settings = Arc::new(settings(arguments, resolv_conf));
        let (clock, blobs) = (machinery.clock.clone(), machinery.blobs.clone());
        let (bases, driver) =
            flynn_build::base::open(base_settings(arguments, paths.bases()), blobs.clone(), clock.clone())?;
        let builder = ImageBuilder::new(ImageBuilderParts {
            blobs,
            bases: Arc::new(bases.clone()),
            sandboxes: Arc::new(machinery.sandboxes(settings.clone())?),
            keys: Keys::open(paths.keys(), clock.clone())?,
            buildpacks: buildpack::all(),
            settings,
            clock: clock.clone(),
            spool: paths.spool(),
        });
        let parallel = arguments.parallel_builds;
        let worker = Worker::new(WorkerParts { store, node, builder: Arc::new(builder), log, clock, parallel });
        Ok(Self { worker, bases: driver, made: bases })
    }
}

/// What the operator decided.
pub(crate) fn settings(arguments: &BuildArguments, resolv_conf: Option<PathBuf>) -> Settings {
    Settings {
        mirrors: Mirrors {
            python_index: arguments.python_index.clone(),
            npm_registry: arguments.npm_registry.clone(),
            go_proxy: arguments.go_proxy.clone(),
            debian: arguments.debian_mirror.clone(),
        },
        ca_bundle: arguments.authorities(),
        resolv_conf,
        parallel: arguments.parallel_builds,
        ..Settings::default()
    }
}

fn base_settings(arguments: &BuildArguments, directory: PathBuf) -> BaseSettings {
    let mut settings = BaseSettings::new(directory);
    let source = |archive: &Option<PathBuf>| archive.clone().map_or(BaseSource::Debian, BaseSource::Archive);
    settings.run = source(&arguments.run_base);
    settings.build = source(&arguments.build_base);
    if let Some(mirror) = &arguments.debian_mirror {
        settings.mmdebstrap.mirror.clone_from(mirror);
    }
    if let Some(mirror) = &arguments.debian_security_mirror {
        settings.mmdebstrap.security_mirror = Some(mirror.clone()).filter(|mirror| !mirror.is_empty());
    }
    settings
}
