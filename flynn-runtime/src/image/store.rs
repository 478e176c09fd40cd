use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::port::{BlobError, BlobReader, Blobs, Image, ImageError, Images};
use flynn_core::value::Digest;
use flynn_core::{BoxError, Clock};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;

use super::config::ImageConfig;
use super::manifest::Manifest;
use super::place::Place;
use super::{LayerLimits, Setuid};
use crate::jobs::Turns;
use crate::layer::{LayerError, Marks, Rules};
use crate::snapshot::records;

/// The most bytes of a manifest or configuration.
const MOST_DOCUMENT: u64 = 4 << 20;

/// A node's images in a directory, filled from the blobs when they are asked for.
///
/// * Manifests and configurations are kept as files, layers unpacked, each once: tar archives, plain or
///   compressed with gzip, of OCI or Docker images. Both the digest of the archive and that before compression
///   are verified while a layer is unpacked, and it is there only when it is complete and on the disk.
/// * An archive is not trusted: nothing is written outside of its directory, device nodes and what exceeds the
///   limits are refused.
/// * Layers are kept in the form that overlay file systems read. What they carry: content, owners, modes,
///   times in whole seconds, hard links, and the extended attributes `user.`, `security.capability` and those
///   of access control lists.
/// * [`collect`](ImageStore::collect) removes what is not needed.
///
/// One process uses a directory at a time. It has to be on a file system with extended attributes that is no
/// overlay itself. Clones share all of it.
#[derive(Clone)]
pub struct ImageStore {
    pub(super) options: Arc<ImageOptions>,
    pub(crate) place: Arc<Place>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Who unpacks which layer.
    pub(super) turns: Arc<Turns<Digest>>,
    pub(super) rules: Rules,
}

/// What an [`ImageStore`] is made from.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// Its directory, which is made if it is missing.
    pub directory: PathBuf,
    /// How large a layer may be.
    pub limits: LayerLimits,
    /// What becomes of programs that run as their owner.
    pub setuid: Setuid,
    /// For how long what was used is kept, whether anything names it or not. It has to cover the time between
    /// the making of an image and the moment when the store names it.
    pub lease: Duration,
}

impl ImageOptions {
    /// Default limits, programs as they are, and a lease of an hour.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            limits: LayerLimits::default(),
            setuid: Setuid::default(),
            lease: Duration::from_secs(3_600),
        }
    }
}

impl std::fmt::Debug for ImageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageStore").field("options", &self.options).finish_non_exhaustive()
    }
}

impl ImageStore {
    /// Takes the directory, or comes back to it, and removes what was not finished there.
    ///
    /// # Errors
    /// `Unavailable` if the directory cannot be used, such as when another process does.
    pub async fn open(options: ImageOptions, blobs: Arc<dyn Blobs>, clock: Arc<dyn Clock>) -> Result<Self, ImageError> {
        const OPERATION: &str = "open the directory of images";
        let root = options.directory.clone();
        let place = on_files(OPERATION, move || {
            let place = Place::open(root)?;
            records::sweep(&place)?;
            Ok(place)
        })
        .await?;
        let is_root = rustix::process::geteuid().is_root();
        let marks = if is_root { Marks::Trusted } else { Marks::User };
        let rules = Rules { limits: options.limits, setuid: options.setuid, marks, owners: is_root };
        let (options, place) = (Arc::new(options), Arc::new(place));
        Ok(Self { options, place, blobs, clock, turns: Arc::default(), rules })
    }

    /// How an image is meant to be run.
    ///
    /// # Errors
    /// `NotFound`, or `Invalid` for a configuration that cannot be read.
    pub async fn config(&self, image: &Image) -> Result<ImageConfig, ImageError> {
        const OPERATION: &str = "read the configuration of an image";
        let text = self.document(OPERATION, image.config).await?;
        ImageConfig::parse(&text).map_err(|error| invalid(OPERATION, error.to_string()))
    }

    pub(crate) fn marks(&self) -> Marks {
        self.rules.marks
    }

    pub(crate) fn limits(&self) -> LayerLimits {
        self.rules.limits
    }

    /// Runs what blocks on files of this store.
    pub(crate) async fn on_place<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Place) -> Result<T, LayerError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let place = Arc::clone(&self.place);
        on_files(operation, move || work(&place)).await
    }

    /// A manifest or configuration, from here or from the blobs.
    pub(super) async fn document(&self, operation: &'static str, digest: Digest) -> Result<Vec<u8>, ImageError> {
        let now = self.clock.now();
        let cached = self.on_place(operation, move |place| {
            let _usage = place.usage();
            let text = place.read_document(digest)?;
            if text.is_some() {
                place.touch_document(digest, now)?;
            }
            Ok(text)
        });
        // The files of a cache may be damaged; it is filled again then.
        if let Some(text) = cached.await?.filter(|text| digest_of(text) == digest) {
            return Ok(text);
        }
        let content = self.blobs.open(digest).await.map_err(|error| told(operation, error))?;
        let mut text = Vec::new();
        let read = content.take(MOST_DOCUMENT + 1).read_to_end(&mut text).await;
        read.map_err(|error| unavailable(operation, error))?;
        if text.len() as u64 > MOST_DOCUMENT {
            return Err(invalid(operation, format!("{digest} is longer than any manifest or configuration should be")));
        }
        let actual = digest_of(&text);
        if actual != digest {
            return Err(ImageError::Corrupt { operation, expected: digest, actual });
        }
        self.on_place(operation, move |place| {
            place.write_document(digest, &text)?;
            place.touch_document(digest, now)?;
            Ok(text)
        })
        .await
    }
}

#[async_trait]
impl Images for ImageStore {
    async fn resolve(&self, manifest: Digest) -> Result<Image, ImageError> {
        const OPERATION: &str = "resolve";
        let text = self.document(OPERATION, manifest).await?;
        let named = Manifest::parse(&text).map_err(|problem| invalid(OPERATION, problem))?;
        let config = self.document(OPERATION, named.config).await?;
        let config = ImageConfig::parse(&config).map_err(|error| invalid(OPERATION, error.to_string()))?;
        check_machine(&config).map_err(|problem| invalid(OPERATION, problem))?;
        if config.diff_ids.len() != named.layers.len() {
            let (layers, ids) = (named.layers.len(), config.diff_ids.len());
            let problem = format!("the manifest names {layers} layers and the configuration {ids}");
            return Err(invalid(OPERATION, problem));
        }
        for (layer, diff_id) in named.layers.iter().zip(&config.diff_ids) {
            self.fill(OPERATION, layer.digest, Some(layer.compression), Some(*diff_id)).await?;
        }
        let layers = named.layers.iter().map(|layer| layer.digest).collect();
        Ok(Image { manifest, config: named.config, layers })
    }

    /// Documents that are kept here are read here, all else from the blobs.
    async fn open(&self, digest: Digest) -> Result<BlobReader, ImageError> {
        const OPERATION: &str = "open";
        let kept = self.on_place(OPERATION, move |place| place.read_document(digest)).await?;
        match kept.filter(|text| digest_of(text) == digest) {
            Some(text) => Ok(Box::new(std::io::Cursor::new(text))),
            None => self.blobs.open(digest).await.map_err(|error| told(OPERATION, error)),
        }
    }

    /// Puts it into the blobs, from which this is filled: whether it is a layer shows only when an image
    /// that names it is resolved.
    async fn put(&self, digest: Digest, content: BlobReader) -> Result<(), ImageError> {
        self.blobs.put(content, Some(digest)).await.map(drop).map_err(|error| told("put", error))
    }

    async fn remove(&self, digest: Digest) -> Result<(), ImageError> {
        self.on_place("remove", move |place| {
            let usage = place.usage();
            place.remove_document(digest)?;
            if place.look(digest)?.is_none() {
                return Ok(());
            }
            if records::in_use(place)?.contains(&digest) {
                return place.set_forgotten(digest, true);
            }
            let gone = place.retire(&place.layer(digest))?;
            drop(usage);
            place.delete(gone);
            Ok(())
        })
        .await
    }
}

/// Whether this machine can run it. What an image does not say is no reason against it.
fn check_machine(config: &ImageConfig) -> Result<(), String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    for (is, should) in [(&*config.os, "linux"), (&*config.architecture, architecture)] {
        if !is.is_empty() && is != should {
            return Err(format!("the image is for `{}`, and this machine is `{should}`", is.escape_debug()));
        }
    }
    Ok(())
}

pub(super) fn digest_of(text: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(text).into())
}

pub(crate) async fn on_files<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, LayerError> + Send + 'static,
) -> Result<T, ImageError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.told(operation)),
        Err(error) => Err(unavailable(operation, error)),
    }
}

pub(crate) fn invalid(operation: &'static str, problem: String) -> ImageError {
    ImageError::Invalid { operation, problem }
}

pub(crate) fn unavailable(operation: &'static str, source: impl Into<BoxError>) -> ImageError {
    ImageError::Unavailable { operation, source: source.into() }
}

/// What a blob store said, as it concerns an image.
pub(crate) fn told(operation: &'static str, error: BlobError) -> ImageError {
    match error {
        BlobError::NotFound { digest, .. } => ImageError::NotFound { operation, what: digest.to_string() },
        BlobError::Corrupt { expected, actual, .. } => ImageError::Corrupt { operation, expected, actual },
        other => unavailable(operation, other),
    }
}
