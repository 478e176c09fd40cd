//! The command line, as somebody uses it who knows this cluster among others.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::service::Place;
use crate::process;

const LOGIN: Duration = Duration::from_secs(30);
const USUAL_PORT: u16 = 7700;

/// The program `flynn`, which speaks with the cluster of one place whatever the user's default is.
#[derive(Debug, Clone)]
pub(super) struct Client {
    flynn: PathBuf,
    url: String,
    port: u16,
}

impl Client {
    pub(super) fn new(flynn: PathBuf, listen: SocketAddr) -> Self {
        Self { flynn, url: format!("http://{}", at_loopback(listen)), port: listen.port() }
    }

    pub(super) fn program(&self) -> &Path {
        &self.flynn
    }

    /// A command to this cluster.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.flynn);
        command.args(args).env("FLYNN_URL", &self.url).env_remove("FLYNN_TOKEN");
        command
    }

    /// Logs in as the administrator, unless somebody is.
    pub(super) fn log_in(&self, place: &Place) -> Result<()> {
        if self.command(&["whoami"]).output().is_ok_and(|output| output.status.success()) {
            return Ok(());
        }
        println!("--- flynn login");
        let mut login = Command::new(&self.flynn);
        login.args(["login", "--url", &self.url, "--socket"]).arg(place.run.join("flynnd.sock"));
        if self.known_as()?.is_none() && self.port != USUAL_PORT {
            login.args(["--cluster", &format!("local-{}", self.port)]);
        }
        process::run(&mut login, LOGIN)
    }

    /// Revokes the token that [`log_in`](Self::log_in) got, if the cluster can be asked, and forgets the cluster.
    pub(super) fn forget(&self) -> Result<()> {
        if !self.flynn.exists() {
            return Ok(());
        }
        let Some(name) = self.known_as()? else { return Ok(()) };
        // It fails where nobody is logged in or the cluster is gone, which is as good.
        let output = Command::new(&self.flynn).args(["logout", "--cluster", &name]).output().context("logging out")?;
        drop(output);
        process::run(Command::new(&self.flynn).args(["cluster", "remove", &name]), LOGIN)
    }

    /// The names of all apps of the cluster.
    pub(super) fn apps(&self) -> Result<Vec<String>> {
        let output = self.command(&["apps", "--json"]).output().context("asking which apps there are")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "asking which apps there are: {}", said.trim_end());
        names(&output.stdout)
    }

    /// What the user calls the cluster.
    fn known_as(&self) -> Result<Option<String>> {
        let output = Command::new(&self.flynn).args(["cluster", "list", "--json"]).output();
        let output = output.context("asking which clusters are known")?;
        if !output.status.success() {
            bail!("asking which clusters are known: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        let known: Value = serde_json::from_slice(&output.stdout).context("reading what flynn cluster list says")?;
        let here = known.as_array().into_iter().flatten().find(|cluster| cluster["url"] == self.url.as_str());
        Ok(here.and_then(|cluster| cluster["name"].as_str()).map(str::to_owned))
    }
}

fn names(listed: &[u8]) -> Result<Vec<String>> {
    let apps: Value = serde_json::from_slice(listed).context("reading what flynn apps says")?;
    let apps = apps.as_array().context("flynn apps prints no list")?;
    let name = |app: &Value| app["name"].as_str().map(str::to_owned).context("flynn apps names no app");
    apps.iter().map(name).collect()
}

/// An address that a client on this machine reaches.
pub(super) fn at_loopback(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_cannot_be_read_is_not_an_empty_one() {
        assert_eq!(names(br#"[{"name": "a"}, {"name": "b"}]"#).unwrap(), ["a", "b"]);
        for bad in ["", "{}", r#"{"items": []}"#, r#"[{"id": 1}]"#] {
            assert!(names(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
