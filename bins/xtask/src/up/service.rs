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
}

impl Place {
    fn folders(&self) -> [String; 4] {
        let [data, run] = [&self.data, &self.run].map(|folder| folder.display().to_string());
        ["--data-dir".to_owned(), data, "--run-dir".to_owned(), run]
    }

    fn arguments(&self) -> Vec<String> {
        let addresses = ["--listen".to_owned(), self.listen.to_string(), "--http".to_owned(), self.http.to_string()];
        self.folders().into_iter().chain(addresses).collect()
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
    if has_systemd() {
        write_unit(&program, place)?;
        process::run(Command::new("systemctl").arg("daemon-reload"), STOP)?;
        process::run(Command::new("systemctl").args(["enable", "--quiet", "flynnd"]), STOP)?;
        process::run(Command::new("systemctl").args(["restart", "flynnd"]), STOP)?;
    } else {
        if serves(place.listen) {
            // Agent, router and apps go on meanwhile.
            let mut stop = Command::new(&program);
            process::run(stop.arg("stop").args(place.folders()), STOP)?;
        }
        spawn(&program, place, changed)?;
    }
    wait(place)
}

/// Ends the instance and takes the service away. Data stay.
pub(super) fn stop(programs: &Installed, place: &Place) -> Result<()> {
    if Path::new(UNIT).exists() {
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

fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

fn write_unit(program: &Path, place: &Place) -> Result<()> {
    let arguments = place.arguments().join(" ");
    // Agent, router and apps are processes of their own that a restart of the control plane must not touch.
    let unit = format!(
        "[Unit]\nDescription=Flynn\nAfter=network-online.target\nWants=network-online.target\n\n\
         [Service]\nExecStart={} {arguments}\nRestart=always\nKillMode=process\n\n\
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
            let said = fs::read_to_string(log(place)).unwrap_or_default();
            let last: Vec<_> = said.lines().rev().take(10).collect();
            let last: String = last.into_iter().rev().map(|line| format!("\n  {line}")).collect();
            bail!("flynnd does not answer at {} after {} s; it said:{last}", place.listen, START.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn log(place: &Place) -> PathBuf {
    place.data.join("flynnd.log")
}

fn serves(address: SocketAddr) -> bool {
    super::fetch::page(address, "localhost", "/readyz").is_ok()
}
