//! Builds the last commit of a checkout and runs its tests in a container of the image that came of it.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use clap::Parser;
use flynn_build::sandbox::SandboxPorts;
use flynn_build::workshop::{Workshop, WorkshopOptions};
use flynn_core::local::DirBlobs;
use flynn_core::port::{LogLine, LogSink};
use flynn_core::value::Resources;
use flynn_core::{AppId, SystemClock};
use flynn_runtime::machine::{Machine, MachineOptions, Task};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Build the last commit of a checkout, run its tests in a container, and end with their exit code
#[derive(Parser)]
struct Arguments {
    /// Where images and caches are kept from run to run
    #[arg(long, default_value = "/var/tmp/flynn-ci")]
    data: PathBuf,
    /// The program that supervises containers; without it, the one beside this program
    #[arg(long)]
    shim: Option<PathBuf>,
    /// An archive of the base image that the tests run on; without it, one is made of Debian's packages
    #[arg(long)]
    run_base: Option<PathBuf>,
    /// The same for the one that is built in
    #[arg(long)]
    build_base: Option<PathBuf>,
    /// A git repository
    checkout: PathBuf,
    /// What runs the tests, with its arguments
    #[arg(last = true, required = true)]
    tests: Vec<String>,
}

/// Builds and tests may use this much each.
const LIMITS: Resources = Resources { cpu_millis: 0, memory_bytes: 2 << 30, disk_bytes: 0, pids: 1_024 };

struct Stdout;

impl LogSink for Stdout {
    fn emit(&self, line: LogLine) {
        println!("{}", line.text);
    }

    fn dropped(&self) -> u64 {
        0
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { data, shim, run_base, build_base, checkout, tests } = Arguments::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let shim = shim.map_or_else(|| Ok(std::env::current_exe()?.with_file_name("flynn-shim")), anyhow::Ok)?;
    let clock = Arc::new(SystemClock);
    let blobs = Arc::new(DirBlobs::open(data.join("blobs"), clock.clone()).await?);
    let machine = Machine::open(MachineOptions::new(data.join("machine"), shim), blobs.clone(), clock.clone()).await?;
    let mut options = WorkshopOptions::new(data.join("workshop")).with_bases(run_base, build_base);
    (options.settings.ca_bundle, options.settings.resolv_conf) = (machine.authorities(), machine.resolv_conf());
    let (runtime, snapshots, network) = (machine.runtime(), machine.snapshots(), machine.network());
    let ports = SandboxPorts { exec: runtime.clone(), runtime, snapshots, blobs, network, clock };
    let (workshop, bases) = Workshop::open(options, ports)?;
    workshop.clear().await?;
    let outcome = tokio::select! {
        outcome = check(&workshop, &machine, &checkout, tests) => outcome,
        () = bases.run(pending()) => Err(anyhow!("base images are not made any more")),
        _ = interrupt.recv() => Ok(130),
        _ = terminate.recv() => Ok(143),
    };
    workshop.clear().await?;
    drop(workshop);
    machine.close().await?;
    Ok(ExitCode::from(u8::try_from(outcome?).unwrap_or(1)))
}

async fn check(workshop: &Workshop, machine: &Machine, checkout: &Path, tests: Vec<String>) -> anyhow::Result<i32> {
    let mut git = Command::new("git");
    git.arg("-C").arg(checkout).args(["archive", "--format=tar", "HEAD"]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut git = git.spawn().context("git cannot be started")?;
    let source = git.stdout.take().context("git has no output")?;
    let built = workshop.build(AppId::NIL, Box::new(source), LIMITS, &Stdout).await;
    ensure!(git.wait().await?.success(), "{} has no commit to build", checkout.display());
    let task = Task { resources: LIMITS, ..Task::new(built?.image, tests) };
    let exit = machine.run(task, tokio::io::stdout(), tokio::io::stderr()).await?;
    println!("-----> The tests ended: {exit:?}");
    Ok(exit.shell_code())
}
