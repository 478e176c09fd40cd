//! The repository as the rules see it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use toml::Table;

/// A member of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its folder, from the workspace root and with `/` between the parts.
    pub location: String,
    /// What its manifest declares, on every platform and under every feature.
    pub dependencies: Vec<Dependency>,
}

/// A dependency that a manifest declares.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Dependency {
    /// The name of the package, whatever the manifest calls it.
    pub name: String,
    /// For what it is needed.
    #[serde(default, deserialize_with = "kind")]
    pub kind: Kind,
    /// Whether only a feature brings it in.
    pub optional: bool,
}

/// For what a dependency is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The code itself.
    #[default]
    Normal,
    /// Tests and examples.
    Dev,
    /// The build script.
    Build,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::Dev => "dev",
            Self::Build => "build",
        })
    }
}

/// A checkout of this repository.
#[derive(Debug)]
pub struct Repository {
    root: PathBuf,
    packages: Vec<Package>,
}

impl Repository {
    /// Opens the checkout that this crate was compiled from.
    pub fn open() -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            workspace_root: PathBuf,
            packages: Vec<Found>,
        }
        #[derive(Deserialize)]
        struct Found {
            name: String,
            manifest_path: PathBuf,
            dependencies: Vec<Dependency>,
        }

        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let metadata = stdout(
            Command::new("cargo").args(["metadata", "--no-deps", "--format-version=1", "--offline"]).current_dir(here),
        )?;
        let metadata: Metadata = serde_json::from_slice(&metadata).context("reading the output of cargo metadata")?;
        let packages = metadata
            .packages
            .into_iter()
            .map(|found| {
                let folder = found.manifest_path.parent().unwrap_or(here);
                let location = folder
                    .strip_prefix(&metadata.workspace_root)
                    .with_context(|| format!("{} lies outside the workspace", folder.display()))?;
                Ok(Package {
                    name: found.name,
                    location: location.to_string_lossy().into_owned(),
                    dependencies: found.dependencies,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { root: metadata.workspace_root, packages })
    }

    /// All members of the workspace.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The manifest in `location`; an empty one is the workspace's.
    pub fn manifest(&self, location: &str) -> Result<Table> {
        let path = self.root.join(location).join("Cargo.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        text.parse().with_context(|| format!("parsing {}", path.display()))
    }

    /// The paths of all tracked files, from the root.
    pub fn tracked(&self) -> Result<Vec<String>> {
        let paths = stdout(Command::new("git").args(["ls-files", "-z"]).current_dir(&self.root))?;
        let paths = String::from_utf8(paths).context("a tracked file has a name beyond UTF-8")?;
        Ok(paths.split_terminator('\0').map(str::to_owned).collect())
    }

    /// The text of a tracked file; none if it is no text, or deleted but not yet committed so.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {path}")),
        }
    }
}

/// Cargo writes a normal dependency's kind as null.
fn kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn stdout(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(output.stdout)
}
