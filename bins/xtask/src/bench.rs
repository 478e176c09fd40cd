//! `cargo xtask bench`: builds everything as it is released and hands over to the program that measures.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// What may be said on the command line.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// What is measured, such as `e2e`, and how: `--json`, `--rounds N`, `--only TEXT`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    process::run(&mut workspace.cargo(["build", "--release", "--workspace", "--bins"]), BUILD_LIMIT)?;
    let release = workspace.target.join("release");
    process::run_lines(&mut workspace.command(release.join("flynn-bases")), BUILD_LIMIT, |line| eprintln!("{line}"))?;
    process::run(workspace.command(release.join("flynn-bench")).args(&options.words), LIMIT)?;
    Ok(ExitCode::SUCCESS)
}
