//! Removing what nobody needs.

use std::collections::BTreeSet;

use flynn_core::port::ImageError;
use flynn_core::value::Digest;

use super::manifest::Manifest;
use super::place::Place;
use super::store::ImageStore;
use crate::snapshot::records;

/// What live objects name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Images, by their manifests: those of releases, jobs and builds.
    pub manifests: BTreeSet<Digest>,
    /// Chains of layers beside those of the images, such as those that builds start from.
    pub chains: Vec<Vec<Digest>>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Manifests and configurations.
    pub documents: u64,
    /// Layers.
    pub layers: u64,
    /// The contents of the files of these layers.
    pub bytes: u64,
}

impl ImageStore {
    /// Sees to it that the layers which are here need not be unpacked again after a loss of power, and says how many
    /// would have had to be. It waits for the disk, which nothing else here does for a layer.
    ///
    /// # Errors
    /// `Unavailable` if the disk cannot be written.
    pub async fn settle(&self) -> Result<u64, ImageError> {
        self.on_place("settle layers", Place::settle).await
    }

    /// Removes documents and layers that nothing live names, no prepared snapshot uses, and nobody used within
    /// the time of the lease.
    ///
    /// # Errors
    /// `Unavailable`; then it is not known what a live image consists of, and nothing was removed, or not all
    /// could be.
    pub async fn collect(&self, live: &Live) -> Result<Collected, ImageError> {
        const OPERATION: &str = "collect";
        let mut needed: BTreeSet<Digest> = live.chains.iter().flatten().copied().collect();
        for &manifest in &live.manifests {
            needed.insert(manifest);
            match self.document(OPERATION, manifest).await {
                Ok(text) => {
                    if let Ok(named) = Manifest::parse(&text) {
                        needed.insert(named.config);
                        needed.extend(named.layers.iter().map(|layer| layer.digest));
                    }
                }
                // What is nowhere has no layers here that could be told.
                Err(ImageError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let stale = self.clock.now().before(self.options.lease);
        self.on_place(OPERATION, move |place| {
            let usage = place.usage();
            needed.extend(records::in_use(place)?);
            let mut collected = Collected::default();
            let mut gone = Vec::new();
            for (digest, used) in place.documents()? {
                if used < stale && !needed.contains(&digest) {
                    place.remove_document(digest)?;
                    collected.documents += 1;
                }
            }
            for (digest, used) in place.layers()? {
                if used < stale && !needed.contains(&digest) {
                    collected.bytes += place.look(digest)?.map_or(0, |record| record.bytes);
                    gone.push(place.retire(&place.layer(digest))?);
                    collected.layers += 1;
                }
            }
            drop(usage);
            for gone in gone {
                place.delete(gone);
            }
            Ok(collected)
        })
        .await
    }
}
