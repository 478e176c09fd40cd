//! The Debian packages that Flynn is built, run and tested with.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process;

/// What `cargo build` needs, and what the programs call or link.
pub(crate) const RUNNING: &[&str] = &[
    "ca-certificates",
    "gcc",
    "git",
    "iproute2",
    "libc6-dev",
    "libseccomp-dev",
    "mmdebstrap",
    "nftables",
    "pkg-config",
];

/// What the tests and gates call besides. Without pip, the tools of the gates would have to be compiled.
pub(crate) const TESTING: &[&str] = &["busybox-static", "diffutils", "gzip", "python3-pip", "tar"];

const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Installs what is missing. Packages stay when the platform is taken down again.
pub(crate) fn install(needed: &[&'static str]) -> Result<()> {
    let missing: Vec<_> = needed.iter().copied().filter(|package| !installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this needs Debian or Ubuntu; on another system install what corresponds to: {list}");
    }
    println!("--- installing {list}");
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], missing.as_slice()].concat())
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn apt(args: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["--quiet"]).args(args).env("DEBIAN_FRONTEND", "noninteractive");
    process::run(&mut command, LIMIT).context("installing packages")
}

/// Refuses what would fail half-way.
pub(crate) fn check_machine() -> Result<()> {
    let uid = Command::new("id").arg("-u").output().context("running id")?;
    ensure!(
        uid.stdout.trim_ascii() == b"0",
        "this installs packages and starts containers, which takes root: run it as root"
    );
    ensure!(cfg!(target_os = "linux"), "Flynn runs its containers on Linux only");
    Ok(())
}
