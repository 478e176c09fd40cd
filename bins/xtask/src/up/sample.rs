//! The sample app, in a repository of its own, as its developer would have it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::client::Client;
use crate::process;
use crate::workspace::Workspace;

/// What the sample app is called.
pub(super) const APP: &str = "hello";

const SOURCE: &str = "examples/apps/python-web";
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A checkout of the sample app and the programs to deploy it with.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) directory: PathBuf,
    client: Client,
    path: std::ffi::OsString,
}

impl Sample {
    /// Makes the checkout, or comes back to it.
    pub(super) fn check_out(workspace: &Workspace, client: &Client) -> Result<Self> {
        let directory = workspace.target.join("up").join(APP);
        let mut path = client.program().parent().unwrap_or(Path::new("/")).as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let sample = Self { directory, client: client.clone(), path };
        if !sample.directory.join(".git").exists() {
            sample.make(&workspace.root.join(SOURCE))?;
        }
        Ok(sample)
    }

    fn make(&self, source: &Path) -> Result<()> {
        let parent = self.directory.parent().context("the checkout has no parent")?;
        std::fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        let mut copy = Command::new("cp");
        copy.arg("--recursive").arg("--no-target-directory").arg(source).arg(&self.directory);
        process::run(&mut copy, LIMIT)?;
        let author = ["-c", "user.name=Flynn", "-c", "user.email=flynn@localhost"];
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        self.git(&["add", "--all"])?;
        self.git(&[&author[..], &["commit", "--quiet", "--message=Say hello"]].concat())
    }

    /// Creates the app, unless it is there, and pushes the checkout to it.
    pub(super) fn deploy(&self) -> Result<()> {
        if self.flynn(&["info", "--app", APP]).output().is_ok_and(|output| output.status.success()) {
            println!("--- the app {APP} is there");
        } else {
            println!("--- flynn create {APP}");
            process::run(&mut self.flynn(&["create", APP]), LIMIT)?;
        }
        println!("--- git push flynn main");
        self.git(&["push", "flynn", "main"])
    }

    /// The page where the app is served.
    pub(super) fn url(&self) -> Result<String> {
        let output =
            self.flynn(&["open", "--app", APP, "--json"]).output().context("asking where the app is served")?;
        ensure!(output.status.success(), "flynn open: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        let place: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("reading what flynn open says")?;
        Ok(place["url"].as_str().context("flynn open names no URL")?.to_owned())
    }

    fn flynn(&self, args: &[&str]) -> Command {
        let mut command = self.client.command(args);
        command.current_dir(&self.directory).env("PATH", &self.path);
        command
    }

    fn git(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new("git");
        command.args(args).current_dir(&self.directory).env("PATH", &self.path);
        process::run(&mut command, LIMIT)
    }
}
