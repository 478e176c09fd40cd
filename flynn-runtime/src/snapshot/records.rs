//! Snapshots on the disk.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flynn_core::Timestamp;
use flynn_core::port::SnapshotKey;
use flynn_core::value::Digest;
use serde::{Deserialize, Serialize};

use crate::image::place::{Place, look_like};
use crate::layer::LayerError;
use crate::shim::{read_json, write_json};

/// A snapshot that was prepared and neither committed nor discarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub key: SnapshotKey,
    /// The layers below it, the lowest first.
    pub chain: Vec<Digest>,
    /// When it was prepared.
    pub prepared_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) owner: String,
    pub(crate) chain: Vec<Digest>,
    pub(crate) prepared_at: Timestamp,
}

/// The directory of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// None for a key that names no snapshot of anybody.
    pub(crate) fn of(place: &Place, key: &SnapshotKey) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (key.0.len() == 32 && key.0.bytes().all(plain)).then(|| Self(place.snapshots().join(&key.0)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What becomes the layer as a whole.
    pub(crate) fn layer(&self) -> PathBuf {
        self.0.join("layer")
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.layer().join("fs")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// The layers, the lowest first, by short names.
    pub(crate) fn lower(&self, count: usize) -> Vec<PathBuf> {
        (0..count).map(|index| self.0.join("lower").join(index.to_string())).collect()
    }

    pub(crate) fn record(&self) -> Result<Option<Record>, LayerError> {
        let path = self.0.join("snapshot.json");
        read_json(&path).map_err(LayerError::disk(path))
    }
}

/// Makes the directory of a snapshot. The chain must be there and stay until this has returned.
pub(crate) fn make(place: &Place, key: &SnapshotKey, record: &Record) -> Result<Option<Home>, LayerError> {
    let Some(home) = Home::of(place, key) else {
        return Ok(None);
    };
    let new = Home(place.incoming()?);
    let build = || -> io::Result<()> {
        let lower = new.0.join("lower");
        for directory in [&lower, &new.layer(), &new.upper(), &new.work()] {
            DirBuilder::new().mode(0o700).create(directory)?;
        }
        for (index, digest) in stacked(&record.chain).iter().enumerate() {
            let layer = place.layer(*digest).join("fs");
            symlink(layer, lower.join(index.to_string()))?;
        }
        fs::set_permissions(new.upper(), fs::Permissions::from_mode(0o755))?;
        write_json(&new.0.join("snapshot.json"), record)
    };
    build().map_err(LayerError::disk(&new.0))?;
    // The root of the whole looks like that of its writable part.
    for digest in record.chain.iter().rev() {
        if place.look(*digest)?.is_some_and(|layer| layer.has_root) {
            look_like(&new.upper(), &place.layer(*digest).join("fs"))?;
            break;
        }
    }
    fs::rename(&new.0, &home.0).map_err(LayerError::disk(&home.0))?;
    Ok(Some(home))
}

/// The layers to stack for a chain: of one that occurs several times the highest counts, and overlay file
/// systems refuse to see it twice.
pub(crate) fn stacked(chain: &[Digest]) -> Vec<Digest> {
    let mut seen = BTreeSet::new();
    let mut stacked: Vec<_> = chain.iter().rev().copied().filter(|digest| seen.insert(*digest)).collect();
    stacked.reverse();
    stacked
}

/// All snapshots, with their records.
pub(crate) fn all(place: &Place) -> Result<Vec<(SnapshotKey, Record)>, LayerError> {
    let directory = place.snapshots();
    let mut found = Vec::new();
    for entry in fs::read_dir(&directory).map_err(LayerError::disk(&directory))? {
        let name = entry.map_err(LayerError::disk(&directory))?.file_name();
        let Some(key) = name.to_str().map(|name| SnapshotKey(name.to_owned())) else {
            continue;
        };
        if let Some(record) = Home::of(place, &key).map(|home| home.record()).transpose()?.flatten() {
            found.push((key, record));
        }
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// The layers that snapshots use.
pub(crate) fn in_use(place: &Place) -> Result<BTreeSet<Digest>, LayerError> {
    Ok(all(place)?.into_iter().flat_map(|(_, record)| record.chain).collect())
}

/// Takes a snapshot away, and the layers that waited for that.
pub(crate) fn remove(place: &Place, home: &Home, chain: &[Digest]) -> Result<(), LayerError> {
    let usage = place.usage();
    let mut gone = vec![place.retire(home.path())?];
    let in_use = in_use(place)?;
    for digest in chain.iter().filter(|digest| !in_use.contains(digest) && place.is_forgotten(**digest)) {
        gone.push(place.retire(&place.layer(*digest))?);
    }
    drop(usage);
    gone.into_iter().for_each(|gone| place.delete(gone));
    Ok(())
}

/// Removes what is left of snapshots whose making, committing or discarding was cut short.
pub(crate) fn sweep(place: &Place) -> Result<(), LayerError> {
    let directory = place.snapshots();
    for entry in fs::read_dir(&directory).map_err(LayerError::disk(&directory))? {
        let home = Home(entry.map_err(LayerError::disk(&directory))?.path());
        if !matches!(home.record(), Ok(Some(_))) || !home.upper().is_dir() {
            let gone = place.retire(home.path())?;
            place.delete(gone);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_repeated_layers_the_highest_counts() {
        let [a, b, c] = [1, 2, 3].map(|byte| Digest::from_bytes([byte; 32]));
        assert_eq!(stacked(&[a, b, a, c]), [b, a, c]);
        assert_eq!(stacked(&[a, a]), [a]);
        assert_eq!(stacked(&[]), []);
    }

    #[test]
    fn only_plain_keys_name_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path().to_owned()).unwrap();
        for key in ["", "..", "../../etc", "0123", &"g".repeat(32), &format!("{}/", "a".repeat(31))] {
            assert!(Home::of(&place, &SnapshotKey(key.to_owned())).is_none(), "{key}");
        }
        assert!(Home::of(&place, &SnapshotKey("0f".repeat(16))).is_some());
    }
}
