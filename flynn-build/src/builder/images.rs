use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::port::{BlobReader, Blobs, LogSink};
use flynn_core::value::Digest;
use flynn_core::{BoxError, BuildId, Clock};

use super::kept::KeptImage;
use super::{Artifact, BuildError, BuildLog, BuildRequest, Builder};
use crate::base::{BaseImage, BaseImages, BaseKind};
use crate::buildpack::{Buildpack, Built, Context};
use crate::detect::{Evidence, Plan, Undetected};
use crate::image::{Descriptor, ImageSpec, OWNER, process_types};
use crate::keys::{Key, Keys};
use crate::sandbox::Sandboxes;
use crate::settings::Settings;
use crate::source::{Intake, SourceError, SourceTree, TreePath};

/// Changes whenever the same layers are put together to another image.
const FORMAT: &str = "1";
/// A base image that takes longer is being made, which is worth a word.
const SOON: Duration = Duration::from_secs(1);
/// Between two words about it.
const NEXT: Duration = Duration::from_secs(10);

const PREPARE: &str = "prepare base images";
const REUSE: &str = "look for an earlier build";
const FETCH: &str = "fetch source";
const DETECT: &str = "detect language";
const SOURCE_LAYER: &str = "store source";
const ASSEMBLE: &str = "assemble image";
const CLEAR: &str = "take away sandboxes";

/// Builds images with buildpacks.
pub struct ImageBuilder {
    parts: ImageBuilderParts,
}

/// What an [`ImageBuilder`] works with.
pub struct ImageBuilderParts {
    /// Where source trees come from and layers and images go to.
    pub blobs: Arc<dyn Blobs>,
    /// What images stand on.
    pub bases: Arc<dyn BaseImages>,
    /// Where commands run.
    pub sandboxes: Arc<Sandboxes>,
    /// What was made already.
    pub keys: Keys,
    /// What knows languages. The first that detects something builds.
    pub buildpacks: Vec<Arc<dyn Buildpack>>,
    /// What the operator decided.
    pub settings: Arc<Settings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// An existing folder for one unnamed file per build, as large as its source tree.
    pub spool: PathBuf,
}

impl std::fmt::Debug for ImageBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts.fmt(f)
    }
}

impl std::fmt::Debug for ImageBuilderParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let buildpacks: Vec<_> = self.buildpacks.iter().map(|buildpack| buildpack.id()).collect();
        f.debug_struct("ImageBuilder").field("buildpacks", &buildpacks).finish_non_exhaustive()
    }
}

/// What an image is made of and by.
struct Made<'a> {
    request: &'a BuildRequest,
    source: SourceTree,
    buildpack: &'a Arc<dyn Buildpack>,
    plan: Plan,
    build_base: BaseImage,
    run_base: BaseImage,
}

#[async_trait]
impl Builder for ImageBuilder {
    async fn build(&self, request: BuildRequest, sink: &dyn LogSink) -> Result<Artifact, BuildError> {
        let log = BuildLog::new(request.build, sink, &*self.parts.clock);
        let limit = self.parts.settings.time_limit;
        self.parts.sandboxes.check_room(PREPARE, &request)?;
        // Base images are made once for all builds, so that they do not count as time of this one.
        let run_base = self.base(BaseKind::Run, &log).await?;
        log.begin(REUSE);
        let key = self.key(&request, &run_base);
        if let Some(artifact) = self.reuse(&key).await? {
            log.say("This source was built before: its image is used again");
            return Ok(artifact);
        }
        let (source, buildpack, plan) = self.read(&request, &log).await?;
        let build_base = match buildpack.builds_in() {
            BaseKind::Run => run_base.clone(),
            kind => self.base(kind, &log).await?,
        };
        let made = Made { request: &request, source, buildpack, plan, build_base, run_base };
        match tokio::time::timeout(limit, self.make(&made, &key, &log)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let step = log.step().to_owned();
                self.clear(request.build).await?;
                Err(BuildError::TimedOut { step, limit })
            }
        }
    }

    async fn clear(&self, build: BuildId) -> Result<(), BuildError> {
        let sandboxes = &self.parts.sandboxes;
        let cleared = sandboxes.clear(build).await;
        cleared.and(sandboxes.trim_caches().await).map_err(|error| BuildError::unavailable(CLEAR, error))
    }

    async fn clear_all(&self) -> Result<(), BuildError> {
        self.parts.sandboxes.clear_all().await.map_err(|error| BuildError::unavailable(CLEAR, error))
    }
}

impl ImageBuilder {
    /// A builder out of these parts.
    pub fn new(parts: ImageBuilderParts) -> Self {
        Self { parts }
    }

    /// Waits for the base images and brings that for builds to this node, so that the first build finds it there.
    /// To be run beside a worker, once; it changes nothing else.
    ///
    /// # Errors
    /// `Unavailable`; a build would say the same.
    pub async fn warm(&self) -> Result<(), BuildError> {
        for kind in [BaseKind::Run, BaseKind::Build] {
            let base = self.parts.bases.ensure(kind).await;
            let base = base.map_err(|error| BuildError::unavailable(PREPARE, error))?;
            let warmed = self.parts.sandboxes.warm(&base.layers).await;
            warmed.map_err(|error| BuildError::unavailable(PREPARE, error))?;
        }
        Ok(())
    }

    async fn base(&self, kind: BaseKind, log: &BuildLog<'_>) -> Result<BaseImage, BuildError> {
        log.begin(PREPARE);
        let bases = &self.parts.bases;
        let mut base = bases.ensure(kind);
        let mut wait = SOON;
        loop {
            tokio::select! {
                made = &mut base => return made.map_err(|error| BuildError::unavailable(PREPARE, error)),
                () = tokio::time::sleep(wait) => {
                    let doing = bases.progress(kind).map(|step| format!(" ({step})")).unwrap_or_default();
                    log.say(format_args!("Waiting for the {} base image, which is made once{doing}", kind.as_str()));
                }
            }
            wait = NEXT;
        }
    }

    /// Fetches the source and decides what builds it.
    async fn read(
        &self,
        request: &BuildRequest,
        log: &BuildLog<'_>,
    ) -> Result<(SourceTree, &Arc<dyn Buildpack>, Plan), BuildError> {
        log.begin(FETCH);
        let source = self.fetch(request.source).await?;
        log.begin(DETECT);
        let (buildpack, plan) = self.detect(&source).await?;
        log.say(format_args!("{} builds it", buildpack.id()));
        plan.notes.iter().for_each(|note| log.note(note));
        Ok((source, buildpack, plan))
    }

    async fn make(&self, made: &Made<'_>, key: &Key, log: &BuildLog<'_>) -> Result<Artifact, BuildError> {
        let ImageBuilderParts { blobs, keys, settings, sandboxes, .. } = &self.parts;
        log.begin(SOURCE_LAYER);
        let source_layer = store_layer(&made.source, &**blobs).await?;
        let context = Context {
            request: made.request,
            source: &made.source,
            source_layer,
            plan: &made.plan,
            build_base: &made.build_base,
            run_base: &made.run_base,
            settings,
            log,
            blobs: &**blobs,
            keys,
            sandboxes,
        };
        let built = made.buildpack.build(&context).await?;
        log.begin(ASSEMBLE);
        let artifact = self.assemble(key, &made.plan, built, source_layer, &made.run_base).await?;
        log.say(format_args!("The image is {}", artifact.image));
        Ok(artifact)
    }

    /// All that decides what the image will be. What was built in the build image of another day is as good.
    fn key(&self, request: &BuildRequest, run_base: &BaseImage) -> Key {
        let mut key = Key::new("image", FORMAT)
            .with("app", request.app.to_string())
            .with("source", request.source.to_string())
            .with("run base", run_base.key.to_string());
        for buildpack in &self.parts.buildpacks {
            key = key.with(buildpack.id(), buildpack.version());
        }
        self.parts.settings.mirrors.add_to(key)
    }

    async fn reuse(&self, key: &Key) -> Result<Option<Artifact>, BuildError> {
        let Some(kept) = self.parts.keys.find::<KeptImage>(key).await? else {
            return Ok(None);
        };
        for blob in &kept.blobs {
            let there = self.parts.blobs.stat(*blob).await.map_err(|error| BuildError::unavailable(REUSE, error))?;
            if there.is_none() {
                return Ok(None);
            }
        }
        Ok(kept.artifact())
    }

    async fn fetch(&self, source: Digest) -> Result<SourceTree, BuildError> {
        let reader = self.parts.blobs.open(source).await.map_err(|error| BuildError::unavailable(FETCH, error))?;
        let intake = Intake { limits: self.parts.settings.source, spool: self.parts.spool.clone() };
        SourceTree::receive(reader, &intake).await.map_err(|error| source_problem(FETCH, error))
    }

    async fn detect(&self, source: &SourceTree) -> Result<(&Arc<dyn Buildpack>, Plan), BuildError> {
        let tree = source.clone();
        let evidence = tokio::task::spawn_blocking(move || Evidence::of(&tree)).await;
        let evidence = evidence
            .map_err(|error| BuildError::unavailable(DETECT, error))?
            .map_err(|error| source_problem(DETECT, error))?;
        let mut problem = None;
        for buildpack in &self.parts.buildpacks {
            match buildpack.detect(&evidence) {
                Ok(Some(plan)) => return Ok((buildpack, plan)),
                Ok(None) => {}
                Err(error) => drop(problem.get_or_insert(error)),
            }
        }
        let problem = problem.unwrap_or(Undetected::Nothing { looked_for: Vec::new() });
        Err(BuildError::failed(DETECT, problem.to_string()))
    }

    async fn assemble(
        &self,
        key: &Key,
        plan: &Plan,
        built: Built,
        source_layer: Digest,
        run_base: &BaseImage,
    ) -> Result<Artifact, BuildError> {
        let chain = run_base.layers.iter().chain(&built.below).chain([&source_layer]).chain(&built.above);
        let mut layers = Vec::new();
        for digest in chain {
            let blob = self.parts.blobs.stat(*digest).await;
            let blob = blob.map_err(|error| BuildError::unavailable(ASSEMBLE, error))?;
            let missing = || BuildError::unavailable(ASSEMBLE, format!("the layer {digest} is not in the blob store"));
            layers.push(Descriptor { digest: *digest, bytes: blob.ok_or_else(missing)?.bytes });
        }
        let spec = ImageSpec { env: environment(run_base, &built), layers };
        let config = self.put(spec.config()).await?;
        let manifest = self.put(spec.manifest(config)).await?;
        let processes = built.processes.unwrap_or_else(|| process_types(&plan.processes));
        let artifact = Artifact { image: manifest.digest, processes, reused: false };
        let blobs = spec.layers.iter().chain([&config, &manifest]).map(|blob| blob.digest).collect();
        self.parts.keys.keep(key, &KeptImage::new(&artifact, blobs)).await?;
        Ok(artifact)
    }

    async fn put(&self, document: Vec<u8>) -> Result<Descriptor, BuildError> {
        let content: BlobReader = Box::new(Cursor::new(document));
        let blob = self.parts.blobs.put(content, None).await;
        let blob = blob.map_err(|error| BuildError::unavailable(ASSEMBLE, error))?;
        Ok(Descriptor { digest: blob.digest, bytes: blob.bytes })
    }
}

async fn store_layer(source: &SourceTree, blobs: &dyn Blobs) -> Result<Digest, BuildError> {
    let folder = TreePath::new("app").map_err(|problem| BuildError::unavailable(SOURCE_LAYER, problem))?;
    let stored = source.store_layer(&folder, OWNER, blobs).await;
    stored.map(|blob| blob.digest).map_err(|error| source_problem(SOURCE_LAYER, error))
}

/// The run image's environment with what the buildpack adds to it.
fn environment(run_base: &BaseImage, built: &Built) -> BTreeMap<String, String> {
    let mut env = run_base.env.clone();
    env.insert("HOME".to_owned(), "/app".to_owned());
    let path = built.path.iter().map(String::as_str).chain(run_base.env.get("PATH").map(String::as_str));
    env.insert("PATH".to_owned(), path.collect::<Vec<_>>().join(":"));
    env.extend(built.env.clone());
    env
}

/// Whether author or node has to do something about it.
pub(crate) fn source_problem(step: &'static str, error: SourceError) -> BuildError {
    match error {
        SourceError::Invalid { .. } | SourceError::TooLarge { .. } | SourceError::Damaged { .. } => {
            BuildError::failed(step, error.to_string())
        }
        error => BuildError::unavailable(step, BoxError::from(error)),
    }
}
