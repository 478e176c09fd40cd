use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use flynn_core::Timestamp;
use flynn_core::value::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::Base;

const VERSION: u32 = 1;

/// What was made, by key: one small file each, which is there whole or not at all.
#[derive(Debug, Clone)]
pub(super) struct Records {
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    layer: Digest,
    bytes: u64,
    made_at: Timestamp,
    versions: BTreeMap<String, String>,
}

impl Records {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// What is recorded under a key. A file that cannot be understood counts as none: the image is made again.
    pub(super) fn read(&self, key: Digest) -> io::Result<Option<Base>> {
        let text = match fs::read(self.directory.join(name(key))) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let record = serde_json::from_slice::<Record>(&text).ok().filter(|record| record.version == VERSION);
        Ok(record.map(|Record { layer, bytes, made_at, versions, .. }| Base { layer, bytes, made_at, versions }))
    }

    pub(super) fn write(&self, key: Digest, base: &Base) -> io::Result<()> {
        let Base { layer, bytes, made_at, versions } = base.clone();
        let record = Record { version: VERSION, layer, bytes, made_at, versions };
        let mut file = NamedTempFile::new_in(&self.directory)?;
        file.write_all(&serde_json::to_vec(&record)?)?;
        file.as_file().sync_all()?;
        file.persist(self.directory.join(name(key)))?;
        File::open(&self.directory)?.sync_all()
    }

    /// Removes all records but those of these keys.
    pub(super) fn keep(&self, keys: &[Digest]) -> io::Result<()> {
        let kept: Vec<OsString> = keys.iter().map(|key| name(*key).into()).collect();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let file = entry.file_name();
            let is_record = file.to_str().is_some_and(|file| file.len() == 69 && file.ends_with(".json"));
            if is_record && !kept.contains(&file) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn name(key: Digest) -> String {
    format!("{}.json", key.hex())
}
