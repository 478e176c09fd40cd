//! `cargo xtask bench`: builds what is measured as it is released and hands over to the program that measures.

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
    /// What is measured, `e2e`, `router` or `sched`, and how: `--json`, `--rounds N`, `--only TEXT`; `--data DIR` for `sched`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    let release = workspace.target.join("release");
    // The router and the placement are measured by themselves, without a platform.
    let alone: Option<(&str, &[&str])> = match options.words.first().and_then(|what| what.to_str()) {
        Some("router") => Some(("flynn-bench-router", &["-p", "flynn-bench-router", "-p", "flynn-router-bin"])),
        Some("sched") => Some(("flynn-bench-sched", &["-p", "flynn-bench-sched"])),
        _ => None,
    };
    if let Some((program, packages)) = alone {
        let mut build = workspace.cargo(["build", "--release", "--bins"]);
        process::run(build.args(packages), BUILD_LIMIT)?;
        process::run(workspace.command(release.join(program)).args(&options.words), LIMIT)?;
        return Ok(ExitCode::SUCCESS);
    }
    process::run(&mut workspace.cargo(["build", "--release", "--workspace", "--bins"]), BUILD_LIMIT)?;
    process::run_lines(&mut workspace.command(release.join("flynn-bases")), BUILD_LIMIT, |line| eprintln!("{line}"))?;
    process::run(workspace.command(release.join("flynn-bench")).args(&options.words), LIMIT)?;
    Ok(ExitCode::SUCCESS)
}
