//! The control plane as a service of the machine.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::install::Installed;
use crate::process;

const UNIT: &str = "/etc/systemd/system/flynnd.service";
/// What `flynnd` is told beside its unit when it has other programs to start.
const ONCE: &str = "/run/flynnd.once";
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Where an instance is and where it listens.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) run: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    /// Further arguments of `flynnd`.
    pub(super) further: Vec<String>,
    /// Whether systemd looks after it.
    pub(super) is_unit: bool,
}

impl Place {
    fn folders(&self) -> [String; 4] {
        let [data, run] = [&self.data, &self.run].map(|folder| folder.display().to_string());
        ["--data-dir".to_owned(), data, "--run-dir".to_owned(), run]
    }

    fn arguments(&self) -> Vec<String> {
        let served = [("--listen", self.listen), ("--http", self.http), ("--https", self.https)];
        let served = served.into_iter().flat_map(|(option, address)| [option.to_owned(), address.to_string()]);
        self.folders().into_iter().chain(served).chain(self.further.clone()).collect()
    }
}

/// Starts `flynnd`, or starts it again if `changed`, and waits until it serves.
pub(super) fn start(programs: &Installed, place: &Place, changed: bool) -> Result<()> {
    if serves(place.listen) && !changed {
        println!("--- flynnd runs");
        return Ok(());
    }
    println!("--- starting flynnd");
    let program = programs.program("flynnd");
    if place.is_unit {
        write_unit(&program, place)?;
        process::run(Command::new("systemctl").arg("daemon-reload"), STOP)?;
        process::run(Command::new("systemctl").args(["enable", "--quiet", "flynnd"]), STOP)?;
        // Read by this one start; later ones leave agent and router alone.
        fs::write(ONCE, "ONCE=--restart-children\n").with_context(|| format!("writing {ONCE}"))?;
        let started = process::run(Command::new("systemctl").args(["restart", "flynnd"]), STOP);
        let waited = started.and_then(|()| wait(place));
        fs::remove_file(ONCE).with_context(|| format!("removing {ONCE}"))?;
        return waited;
    }
    if serves(place.listen) {
        // Agent, router and apps go on meanwhile.
        let mut stop = Command::new(&program);
        process::run(stop.arg("stop").args(place.folders()), STOP)?;
    }
    spawn(&program, place, changed)?;
    wait(place)
}

/// Ends the instance and takes the service away. Data stay.
pub(super) fn stop(programs: &Installed, place: &Place) -> Result<()> {
    if place.is_unit && Path::new(UNIT).exists() {
        process::run(Command::new("systemctl").args(["disable", "--quiet", "--now", "flynnd"]), STOP)?;
        fs::remove_file(UNIT).with_context(|| format!("removing {UNIT}"))?;
        process::run(Command::new("systemctl").arg("daemon-reload"), STOP)?;
    }
    let program = programs.program("flynnd");
    if program.exists() {
        let mut down = Command::new(&program);
        process::run(down.arg("down").args(place.folders()), STOP)?;
    }
    Ok(())
}

/// Whether this machine is one of systemd's.
pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

fn write_unit(program: &Path, place: &Place) -> Result<()> {
    let arguments = place.arguments().join(" ");
    // Agent, router and apps are processes of their own that a restart of the control plane must not touch.
    let unit = format!(
        "[Unit]\nDescription=Flynn\nAfter=network-online.target\nWants=network-online.target\n\n\
         [Service]\nEnvironmentFile=-{ONCE}\nExecStart={} {arguments} $ONCE\nRestart=always\nKillMode=process\n\
         LimitNOFILE=1048576\nTasksMax=infinity\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        program.display()
    );
    fs::write(UNIT, unit).with_context(|| format!("writing {UNIT}"))
}

fn spawn(program: &Path, place: &Place, changed: bool) -> Result<()> {
    fs::create_dir_all(&place.data).with_context(|| format!("creating {}", place.data.display()))?;
    let log = log(place);
    let file =
        File::options().create(true).append(true).open(&log).with_context(|| format!("opening {}", log.display()))?;
    // A session of its own: what ends this terminal does not end the platform.
    let mut command = Command::new("setsid");
    command.arg("--fork").arg(program).args(place.arguments());
    if changed {
        command.arg("--restart-children");
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let status = command.status().context("starting flynnd")?;
    if !status.success() {
        bail!("starting flynnd: setsid ended with {status}");
    }
    Ok(())
}

fn wait(place: &Place) -> Result<()> {
    let deadline = Instant::now() + START;
    while !serves(place.listen) {
        if Instant::now() >= deadline {
            let said = said(place);
            let last: Vec<_> = said.lines().rev().take(10).collect();
            let last: String = last.into_iter().rev().map(|line| format!("\n  {line}")).collect();
            bail!("flynnd does not answer at {} after {} s; it said:{last}", place.listen, START.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// What `flynnd` wrote last.
fn said(place: &Place) -> String {
    if !place.is_unit {
        return fs::read_to_string(log(place)).unwrap_or_default();
    }
    let journal = Command::new("journalctl").args(["--unit=flynnd", "--lines=10", "--output=cat"]).output();
    journal.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn log(place: &Place) -> PathBuf {
    place.data.join("flynnd.log")
}

fn serves(address: SocketAddr) -> bool {
    super::fetch::page(address, "localhost", "/readyz").is_ok()
}
