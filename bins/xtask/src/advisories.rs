//! The repository's dated copy of the RustSec advisory database, laid out as cargo-deny expects.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;

const FOLDER: &str = ".ci";
const PREFIX: &str = "advisory-db-";
const SUFFIX: &str = ".tar.gz";

/// cargo-deny's own name for a database: the end of its address and a hash of the whole.
const DATABASE: &str = "advisory-db-3157b0e258782691";

const UNPACK_LIMIT: Duration = Duration::from_secs(60);

/// The unpacked database.
#[derive(Debug)]
pub(crate) struct Advisories {
    path: PathBuf,
    date: String,
}

impl Advisories {
    pub(crate) fn unpack(workspace: &Workspace) -> Result<Self> {
        let (archive, date) = find(&workspace.root.join(FOLDER))?;
        let path = workspace.target.join("advisory-db");
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        let database = path.join(DATABASE);
        // cargo-deny takes the time of this file for the database's age.
        let stamp = database.join(".git/FETCH_HEAD");
        fs::create_dir_all(database.join(".git"))
            .and_then(|()| fs::write(&stamp, ""))
            .with_context(|| format!("writing {}", stamp.display()))?;
        let mut tar = workspace.command("tar");
        tar.arg("-xzf").arg(archive).arg("-C").arg(&database);
        process::run(&mut tar, UNPACK_LIMIT)?;
        Ok(Self { path, date })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The day of the copy, as its file name states it.
    pub(crate) fn date(&self) -> &str {
        &self.date
    }
}

fn find(folder: &Path) -> Result<(PathBuf, String)> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut archives: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let date = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.to_owned();
            Some((entry.path(), date))
        })
        .collect();
    match (archives.pop(), archives.len()) {
        (Some(archive), 0) => Ok(archive),
        (_, others) => bail!(
            "{FOLDER} has to hold exactly one {PREFIX}DATE{SUFFIX}, not {}",
            if others == 0 { "none" } else { "several" }
        ),
    }
}
