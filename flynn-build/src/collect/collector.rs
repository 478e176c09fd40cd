use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use flynn_core::port::{BlobError, Blobs, Snapshot, Store};
use flynn_core::value::Digest;
use flynn_core::{Clock, Revision, Scope, StoreError};
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use super::roots::Roots;

/// A larger document is no manifest of ours.
const LONGEST_MANIFEST: u64 = 4 << 20;
const PAGE: usize = 1_000;

/// How blobs are collected.
#[derive(Debug, Clone)]
pub struct CollectSettings {
    /// The time between two passes.
    pub every: Duration,
    /// How long what nobody names is kept after it was last put.
    pub keep: Duration,
}

impl Default for CollectSettings {
    /// A pass each hour; two weeks, which is twice the time after which base images are made again.
    fn default() -> Self {
        Self { every: Duration::from_secs(3_600), keep: Duration::from_secs(14 * 24 * 3_600) }
    }
}

/// Takes away blobs that nothing names. It does so only while its owner drives [`run`](Self::run).
pub struct Collector {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    settings: CollectSettings,
    /// What is in an image, by its manifest; it never changes.
    manifests: HashMap<Digest, Vec<Digest>>,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// How many blobs were taken away.
    pub removed: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// Whether the pass ended early, since a build is under way.
    pub cut_short: bool,
}

/// Why a pass took nothing more away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// It is not known what is named.
    #[error("collect blobs: the store does not say what is needed")]
    Store(#[source] StoreError),
    /// The blob store failed.
    #[error("collect blobs")]
    Blobs(#[source] BlobError),
    /// It is not known what is in an image.
    #[error("collect blobs: the manifest {manifest} cannot be read")]
    Manifest {
        /// The manifest.
        manifest: Digest,
        /// What happened.
        #[source]
        source: flynn_core::BoxError,
    },
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Collector {
    /// A collector of what is in `blobs` and nothing in `store` names.
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn Blobs>, clock: Arc<dyn Clock>, settings: CollectSettings) -> Self {
        Self { store, blobs, clock, settings, manifests: HashMap::new() }
    }

    /// Collects until `stop` is ready. A pass that fails is made again after the same time.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(self.settings.every) => {}
            }
            let collected = tokio::select! {
                () = &mut stop => return,
                collected = self.pass() => collected,
            };
            match collected {
                Ok(Collected { removed: 0, .. }) => {}
                Ok(Collected { removed, bytes, .. }) => {
                    tracing::info!(removed, bytes, "blobs nobody needs were removed")
                }
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "blobs were not collected"),
            }
        }
    }

    /// Takes away what nobody names and was put long enough ago. While a build is under way nothing is taken, since
    /// it may have found something that only it is about to name.
    ///
    /// # Errors
    /// What could not be read. What was taken away until then was needed by nobody.
    pub async fn pass(&mut self) -> Result<Collected, CollectError> {
        let now = self.clock.now();
        let mut collected = Collected::default();
        let mut after = None;
        loop {
            let page = self.blobs.list(after, PAGE).await.map_err(CollectError::Blobs)?;
            let Some(last) = page.last() else {
                return Ok(collected);
            };
            after = Some(last.digest);
            let old: Vec<_> = page.iter().filter(|blob| blob.put_at + self.settings.keep < now).collect();
            if old.is_empty() {
                continue;
            }
            // After the list: what was named since then is kept.
            let mut known: Option<(Revision, BTreeSet<Digest>)> = None;
            for blob in old {
                // Before each one: a build that has begun meanwhile may have found it.
                let Snapshot { revision, objects, .. } = self.snapshot().await?;
                let named = match known.take() {
                    Some((at, named)) if at == revision => named,
                    _ => {
                        let roots = Roots::of(&objects);
                        if roots.building {
                            return Ok(Collected { cut_short: true, ..collected });
                        }
                        self.named(roots).await?
                    }
                };
                if !named.contains(&blob.digest) {
                    // What was put again after the list stays.
                    let put_before = blob.put_at + Duration::from_millis(1);
                    self.blobs.remove(blob.digest, put_before).await.map_err(CollectError::Blobs)?;
                    collected.removed += 1;
                    collected.bytes += blob.bytes;
                }
                known = Some((revision, named));
            }
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, CollectError> {
        self.store.snapshot(Scope::All).await.map_err(CollectError::Store)
    }

    /// Everything that the roots name, and what that names in turn.
    async fn named(&mut self, roots: Roots) -> Result<BTreeSet<Digest>, CollectError> {
        self.manifests.retain(|manifest, _| roots.images.contains(manifest));
        let mut named = roots.sources;
        for manifest in roots.images {
            if !self.manifests.contains_key(&manifest) {
                let content = self.content(manifest).await?;
                self.manifests.insert(manifest, content);
            }
            named.insert(manifest);
            named.extend(self.manifests.get(&manifest).into_iter().flatten());
        }
        Ok(named)
    }

    /// What is in an image. One that is not there at all names nothing.
    async fn content(&self, manifest: Digest) -> Result<Vec<Digest>, CollectError> {
        let unreadable = |source| CollectError::Manifest { manifest, source };
        let reader = match self.blobs.open(manifest).await {
            Ok(reader) => reader,
            Err(BlobError::NotFound { .. }) => {
                tracing::warn!(%manifest, "collect blobs: an image that is in use has no manifest");
                return Ok(Vec::new());
            }
            Err(error) => return Err(CollectError::Blobs(error)),
        };
        let mut text = Vec::new();
        reader.take(LONGEST_MANIFEST).read_to_end(&mut text).await.map_err(|error| unreadable(error.into()))?;
        let Manifest { config, layers } = serde_json::from_slice(&text).map_err(|error| unreadable(error.into()))?;
        let digests = std::iter::once(config).chain(layers).map(|descriptor| descriptor.digest.parse::<Digest>());
        digests.collect::<Result<_, _>>().map_err(|error| unreadable(error.into()))
    }
}
