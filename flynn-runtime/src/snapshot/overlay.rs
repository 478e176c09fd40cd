use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::port::{ImageError, Mount, MountSource, Prepared, SnapshotKey, Snapshots};
use flynn_core::value::Digest;
use flynn_core::{Ids, Timestamp};
use tokio::task::spawn_blocking;

use super::mounted::is_mounted;
use super::records::{self, Home, Record, Snapshot, stacked};
use crate::image::place::LayerRecord;
use crate::image::{ImageStore, LayerTimes, told, unavailable};
use crate::jobs::Turns;
use crate::layer::{LayerError, Packing, pack, pipe};

/// As many layers as the kernel stacks.
const MOST_LAYERS: usize = 500;
/// How long the mounts of a container that was removed may stay.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at them.
const PAUSE: Duration = Duration::from_millis(10);
/// A layer may be collected between being found and being used, if its lease is that short.
const ATTEMPTS: usize = 3;

/// Writable file systems over the layers of an [`ImageStore`], as overlay file systems.
///
/// * [`prepare`](Snapshots::prepare) brings in layers that are missing here but not among the blobs. Without
///   any layer it gives a plain directory.
/// * [`commit`](Snapshots::commit) writes an uncompressed OCI layer to the blobs without a copy on the way, and
///   keeps what was written as the unpacked layer. The root directory's time is not part of a layer; sockets
///   are left out; device nodes and names that begin with `.wh.` are refused.
/// * Neither commits nor discards what is still mounted. Snapshots stay across restarts until then.
///
/// Every user of an image store has a mark of its own, and sees only its own snapshots.
#[derive(Debug, Clone)]
pub struct OverlaySnapshots {
    images: ImageStore,
    options: Arc<SnapshotOptions>,
    /// Who commits or discards which snapshot.
    turns: Arc<Turns<String>>,
}

/// How an [`OverlaySnapshots`] does its work.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// The mark on all it makes, which tells its snapshots from those of others.
    pub owner: String,
    /// Which times the layers have that it makes.
    pub times: LayerTimes,
}

impl OverlaySnapshots {
    /// Snapshots over the layers of `images`.
    pub fn new(images: &ImageStore, options: SnapshotOptions) -> Self {
        Self { images: images.clone(), options: Arc::new(options), turns: Arc::default() }
    }

    /// All snapshots of this owner.
    ///
    /// # Errors
    /// `Unavailable` if the records cannot be read.
    pub async fn list(&self) -> Result<Vec<Snapshot>, ImageError> {
        let all = self.images.on_place("list", records::all).await?;
        let own = all.into_iter().filter(|(_, record)| record.owner == self.options.owner);
        Ok(own.map(|(key, Record { chain, prepared_at, .. })| Snapshot { key, chain, prepared_at }).collect())
    }

    /// Discards the snapshots of this owner that were prepared before `prepared_before` and are not among
    /// `keep`, and says which. What is mounted stays for the next time.
    ///
    /// # Errors
    /// `Unavailable` if the records cannot be read or something could not be taken away.
    pub async fn sweep(
        &self,
        keep: &BTreeSet<SnapshotKey>,
        prepared_before: Timestamp,
    ) -> Result<Vec<SnapshotKey>, ImageError> {
        const OPERATION: &str = "sweep";
        let mut discarded = Vec::new();
        for Snapshot { key, prepared_at, .. } in self.list().await? {
            if prepared_at >= prepared_before || keep.contains(&key) || mounted(OPERATION, &key).await? {
                continue;
            }
            self.discard(&key).await?;
            discarded.push(key);
        }
        Ok(discarded)
    }

    /// The directory and record of a snapshot of this owner.
    async fn find(&self, operation: &'static str, key: &SnapshotKey) -> Result<Option<(Home, Record)>, ImageError> {
        let Some(home) = Home::of(&self.images.place, key) else {
            return Ok(None);
        };
        let found = self.images.on_place(operation, move |_| Ok(home.record()?.map(|record| (home, record)))).await?;
        Ok(found.filter(|(_, record)| record.owner == self.options.owner))
    }

    /// Waits for a container that was just removed to let go.
    async fn unmounted(&self, operation: &'static str, key: &SnapshotKey) -> Result<(), ImageError> {
        let end = tokio::time::Instant::now() + UNMOUNT_LIMIT;
        while mounted(operation, key).await? {
            if tokio::time::Instant::now() >= end {
                let problem = format!("the snapshot {} is mounted: remove the container that uses it first", key.0);
                return Err(unavailable(operation, problem));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}

async fn mounted(operation: &'static str, key: &SnapshotKey) -> Result<bool, ImageError> {
    let key = key.clone();
    let looked = spawn_blocking(move || is_mounted(&key)).await.map_err(|error| unavailable(operation, error))?;
    looked.map_err(|error| unavailable(operation, error))
}

#[async_trait]
impl Snapshots for OverlaySnapshots {
    async fn prepare(&self, chain: &[Digest]) -> Result<Prepared, ImageError> {
        const OPERATION: &str = "prepare";
        let layers = stacked(chain);
        if layers.len() > MOST_LAYERS {
            let problem =
                format!("a chain of {} layers is longer than the {MOST_LAYERS} that can be stacked", layers.len());
            return Err(ImageError::Invalid { operation: OPERATION, problem });
        }
        for _ in 0..ATTEMPTS {
            for layer in &layers {
                self.images.fill(OPERATION, *layer, None, None).await?;
            }
            let now = self.images.clock.now();
            let key = SnapshotKey(Ids::from_entropy().next::<flynn_core::noun::Job>(now).uuid().simple().to_string());
            let record = Record { owner: self.options.owner.clone(), chain: layers.clone(), prepared_at: now };
            let named = key.clone();
            let made = self.images.on_place(OPERATION, move |place| {
                let _usage = place.usage();
                for layer in &record.chain {
                    if place.look(*layer)?.is_none() {
                        return Ok(None);
                    }
                }
                records::make(place, &named, &record)
            });
            if let Some(home) = made.await? {
                let lower = home.lower(layers.len());
                let source = if lower.is_empty() {
                    MountSource::Bind(home.upper())
                } else {
                    MountSource::Overlay { lower, upper: home.upper(), work: home.work() }
                };
                return Ok(Prepared { key, mounts: vec![Mount { source, target: "/".into(), read_only: false }] });
            }
        }
        Err(ImageError::NotFound { operation: OPERATION, what: "a layer that is being removed".to_owned() })
    }

    async fn commit(&self, key: &SnapshotKey) -> Result<Digest, ImageError> {
        const OPERATION: &str = "commit";
        let turn = self.turns.wait(key.0.clone()).await;
        let Some((home, record)) = self.find(OPERATION, key).await? else {
            return Err(ImageError::NotFound { operation: OPERATION, what: format!("the snapshot {}", key.0) });
        };
        self.unmounted(OPERATION, key).await?;
        let (times, limits, marks) = (self.options.times, self.images.limits(), self.images.marks());
        let packing = Packing { times, limits, marks };
        let (writer, written) = pipe::written();
        let upper = home.upper();
        let packer = spawn_blocking(move || {
            let (packed, writer) = pack(&upper, writer, packing)?;
            writer.end().map_err(LayerError::Stream)?;
            // Should nobody wait any more, the snapshot is in use until here.
            Ok((packed, turn))
        });
        let put = self.images.blobs.put(Box::new(written), None).await;
        let packed = packer.await.map_err(|error| unavailable(OPERATION, error))?;
        let (packed, turn, digest) = match (packed, put) {
            (Ok((packed, turn)), Ok(blob)) => (packed, turn, blob.digest),
            // The blobs did not take it: they say why.
            (Ok(_) | Err(LayerError::Stream(_)), Err(error)) => return Err(told(OPERATION, error)),
            (Err(error), _) => return Err(error.told(OPERATION)),
        };
        let now = self.images.clock.now();
        self.images
            .on_place(OPERATION, move |place| {
                let (entries, bytes, has_root) = (packed.entries, packed.bytes, packed.has_root);
                let layer = LayerRecord { diff_id: digest, entries, bytes, has_root };
                place.publish(&home.layer(), digest, &layer, now)?;
                let removed = records::remove(place, &home, &record.chain);
                drop(turn);
                removed
            })
            .await?;
        Ok(digest)
    }

    async fn discard(&self, key: &SnapshotKey) -> Result<(), ImageError> {
        const OPERATION: &str = "discard";
        let turn = self.turns.wait(key.0.clone()).await;
        let Some((home, record)) = self.find(OPERATION, key).await? else {
            return Ok(());
        };
        self.unmounted(OPERATION, key).await?;
        self.images
            .on_place(OPERATION, move |place| {
                let removed = records::remove(place, &home, &record.chain);
                drop(turn);
                removed
            })
            .await
    }
}
