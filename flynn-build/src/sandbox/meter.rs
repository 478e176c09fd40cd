use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flynn_core::disk::{Bounds, DiskUse, OverLimit};
use flynn_core::port::{Mount, MountSource};
use tokio::time::{Instant, sleep};

/// The least time between two measurements. A sandbox with many files is measured more rarely.
const OFTEN: Duration = Duration::from_secs(1);
/// Measuring takes at most this part of the time.
const SHARE: u32 = 5;

/// Measures what a sandbox writes, wherever on the disk that is.
#[derive(Debug)]
pub(super) struct Meter {
    /// Each place with what was there before.
    places: Arc<Vec<(PathBuf, DiskUse)>>,
    limit: u64,
}

impl Meter {
    /// Of all that a container with these mounts can write, what is there already not counted; in bytes, zero for no
    /// limit.
    ///
    /// # Errors
    /// It cannot be measured.
    pub(super) async fn of(mounts: impl Iterator<Item = &Mount>, limit: u64) -> io::Result<Self> {
        let written = mounts.filter(|mount| !mount.read_only).filter_map(|mount| match &mount.source {
            MountSource::Bind(path) | MountSource::Overlay { upper: path, .. } => Some(path.clone()),
            _ => None,
        });
        let places: Vec<_> = written.collect();
        let measure = move || {
            let measured = places.into_iter().map(|place| Ok((place.clone(), used(&place)?)));
            measured.collect::<io::Result<Vec<_>>>()
        };
        let places = Arc::new(tokio::task::spawn_blocking(measure).await??);
        Ok(Self { places, limit })
    }

    /// What is over the limit at present.
    ///
    /// # Errors
    /// It cannot be measured.
    pub(super) async fn look(&self) -> io::Result<Option<OverLimit>> {
        if self.limit == 0 {
            return Ok(None);
        }
        let first = OverLimit::of(self.limit, self.measure().await?);
        if first.is_none() {
            return Ok(None);
        }
        // What was moved meanwhile may have been counted twice, but hardly at both times.
        Ok(OverLimit::of(self.limit, self.measure().await?).and(first))
    }

    async fn measure(&self) -> io::Result<DiskUse> {
        let places = self.places.clone();
        let measure = move || {
            places.iter().try_fold(DiskUse::default(), |sum, (place, before)| {
                Ok::<_, io::Error>(sum.plus(used(place)?.since(*before)))
            })
        };
        tokio::task::spawn_blocking(measure).await?
    }

    /// Measures until something is over the limit.
    pub(super) async fn exceeded(&self) -> OverLimit {
        loop {
            let began = Instant::now();
            match self.look().await {
                Ok(Some(over)) => return over,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "it cannot be measured what a build writes"),
            }
            sleep(OFTEN.max(began.elapsed() * (SHARE - 1))).await;
        }
    }
}

/// What is not there takes nothing.
fn used(place: &Path) -> io::Result<DiskUse> {
    match DiskUse::of(place, Bounds::default()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(DiskUse::default()),
        used => used,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_can_be_written_counts_but_not_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let [upper, tmp, inputs] = ["upper", "tmp", "inputs"].map(place);
        let write = |path: &PathBuf, name: &str, mebibytes: usize| {
            let path = path.join(name);
            std::fs::write(&path, vec![1; mebibytes << 20]).unwrap();
            std::fs::File::open(path).unwrap().sync_all().unwrap();
        };
        write(&tmp, "before", 8);
        let overlay = MountSource::Overlay { lower: vec![], upper: upper.clone(), work: folder.path().join("work") };
        let mount = |source, read_only| Mount { source, target: "/".into(), read_only };
        let mounts = [
            mount(overlay, false),
            mount(MountSource::Bind(tmp.clone()), false),
            mount(MountSource::Bind(inputs.clone()), true),
        ];
        let meter = Meter::of(mounts.iter(), 4 << 20).await.unwrap();
        write(&inputs, "input", 8);
        write(&upper, "one", 2);
        assert_eq!(meter.look().await.unwrap(), None);
        write(&tmp, "two", 3);
        let over = tokio::time::timeout(Duration::from_secs(20), meter.exceeded()).await.unwrap();
        assert_eq!(over.to_string(), "disk limit of 4 MiB exceeded (5 MiB used)");
        let unlimited = Meter { limit: 0, ..meter };
        assert_eq!(unlimited.look().await.unwrap(), None);
    }
}
