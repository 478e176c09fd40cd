//! Which sandboxes there are, for whoever comes after a crash.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flynn_core::{BuildId, JobId};
use serde::{Deserialize, Serialize};

/// What there is of a sandbox. It is written before any of it is made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) build: BuildId,
    pub(super) snapshot: Option<String>,
}

/// The directories of all sandboxes of a node.
#[derive(Debug, Clone)]
pub(super) struct Records {
    records: PathBuf,
    scratch: PathBuf,
}

impl Records {
    pub(super) fn new(records: PathBuf, scratch: PathBuf) -> Self {
        Self { records, scratch }
    }

    pub(super) fn write(&self, sandbox: JobId, record: &Record) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.scratch)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.persist(self.records.join(sandbox.to_string()))?;
        Ok(())
    }

    pub(super) fn read(&self, sandbox: JobId) -> io::Result<Option<Record>> {
        match fs::read(self.records.join(sandbox.to_string())) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All of them. A record that cannot be read belongs to no build.
    pub(super) fn all(&self) -> io::Result<Vec<(JobId, Option<Record>)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.records)? {
            let entry = entry?;
            let Some(sandbox) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                tracing::warn!(path = %entry.path().display(), "this is no record of a sandbox");
                continue;
            };
            all.push((sandbox, self.read(sandbox)?));
        }
        Ok(all)
    }

    /// Makes a directory with `tmp`, which everybody may write, and `inputs` with these files.
    pub(super) fn make_scratch<'a>(
        &self,
        sandbox: JobId,
        files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>,
    ) -> io::Result<PathBuf> {
        let scratch = self.scratch.join(sandbox.to_string());
        let (temporary, inputs) = (scratch.join("tmp"), scratch.join("inputs"));
        for (path, mode) in [(&scratch, 0o755), (&temporary, 0o1777), (&inputs, 0o755)] {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        for (path, content) in files {
            let path = inputs.join(path);
            for folder in path.parent().into_iter().flat_map(Path::ancestors) {
                if folder == inputs {
                    break;
                }
                fs::create_dir_all(folder)?;
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
            }
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        Ok(scratch)
    }

    /// Takes scratch space and record away, the record last.
    pub(super) fn delete(&self, sandbox: JobId) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        gone(fs::remove_dir_all(self.scratch.join(sandbox.to_string())))?;
        gone(fs::remove_file(self.records.join(sandbox.to_string())))
    }

    /// Takes away what is in scratch space although no sandbox is there.
    pub(super) fn empty_scratch(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.scratch)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
