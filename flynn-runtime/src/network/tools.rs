use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::egress::Range;

/// The programs that set up networks, run in the namespace that plays the node.
///
/// `ip` of iproute2 rather than netlink messages of our own: it makes the job's end of a link in the job's
/// namespace, which the rtnetlink crate cannot say without a message made by hand, and a few milliseconds
/// for its start do not count beside those of a container.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) node: Option<PathBuf>,
}

impl Tools {
    pub(crate) async fn ip(&self, batch: &str) -> io::Result<()> {
        run(self.node.as_deref(), "ip", &["-batch", "-"], batch).await.map(drop)
    }

    pub(crate) async fn nft(&self, batch: &str) -> io::Result<()> {
        run(self.node.as_deref(), "nft", &["-f", "-"], batch).await.map(drop)
    }

    /// A value below `/proc/sys/net` of the node.
    pub(crate) async fn get(&self, name: &str) -> io::Result<String> {
        let text = run(self.node.as_deref(), "cat", &[&format!("/proc/sys/net/{name}")], "").await?;
        Ok(text.trim().to_owned())
    }

    /// Sets values below `/proc/sys/net` of the node.
    pub(crate) async fn set(&self, values: &[(&str, &str)]) -> io::Result<()> {
        set(self.node.as_deref(), values).await
    }

    /// The chains of the packet filter, as `nft` lists them.
    pub(crate) async fn chains(&self) -> io::Result<String> {
        run(self.node.as_deref(), "nft", &["list", "chains"], "").await
    }

    /// The links of a bridge.
    pub(crate) async fn ports(&self, bridge: &str) -> io::Result<Vec<String>> {
        let list = run(self.node.as_deref(), "ip", &["-oneline", "link", "show", "master", bridge], "").await?;
        let name = |line: &str| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned());
        Ok(list.lines().filter_map(name).collect())
    }

    /// The networks that the node has addresses in, but for that of `bridge`.
    pub(crate) async fn own_networks(&self, bridge: &str) -> io::Result<Vec<Range>> {
        // Routes that others made with the same scope can be half of the Internet.
        let arguments = ["-4", "-oneline", "route", "show", "table", "main", "proto", "kernel", "scope", "link"];
        let list = run(self.node.as_deref(), "ip", &arguments, "").await?;
        let elsewhere = |line: &&str| !line.split(' ').any(|word| word == bridge);
        Ok(list.lines().filter(elsewhere).filter_map(|line| Range::parse(line.split(' ').next()?)).collect())
    }
}

pub(crate) async fn set(namespace: Option<&Path>, values: &[(&str, &str)]) -> io::Result<()> {
    let line = |(name, value): &(&str, &str)| format!("echo {value} > /proc/sys/net/{name}\n");
    let script = format!("set -e\n{}", values.iter().map(line).collect::<String>());
    run(namespace, "sh", &["-s"], &script).await.map(drop)
}

/// Runs a program to its end, in another network namespace if one is given.
pub(crate) async fn run(
    namespace: Option<&Path>,
    program: &str,
    arguments: &[&str],
    input: &str,
) -> io::Result<String> {
    let mut command = match namespace {
        Some(path) => {
            let mut flag = OsStr::new("--net=").to_owned();
            flag.push(path);
            let mut command = Command::new("nsenter");
            command.arg(flag).arg(program);
            command
        }
        None => Command::new(program),
    };
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read all says why with its status.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(io::Error::other(format!("{program}: {reason}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
