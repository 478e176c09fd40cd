//! `cargo xtask up`: from a checkout to a running platform with an app on it, and back.

mod fetch;
mod install;
mod packages;
mod sample;
mod service;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::Workspace;
use install::Installed;
use sample::Sample;
use service::Place;

const LOGIN: Duration = Duration::from_secs(30);

/// What may be said on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Undo it: end the platform and all apps, and remove programs, data and configuration. Debian packages stay.
    #[arg(long)]
    down: bool,
    /// With --down: also if there are apps besides the sample.
    #[arg(long, requires = "down")]
    yes: bool,
    /// The folder below which programs are installed.
    #[arg(long, value_name = "FOLDER", default_value = "/usr/local")]
    prefix: PathBuf,
    /// The data directory.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/flynn")]
    data_dir: PathBuf,
    /// The folder of sockets.
    #[arg(long, value_name = "FOLDER", default_value = "/run/flynn")]
    run_dir: PathBuf,
    /// Where the API and git are served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Where apps are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:80")]
    http: SocketAddr,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    packages::check_machine()?;
    let programs = Installed::below(&options.prefix);
    let place = Place {
        data: options.data_dir.clone(),
        run: options.run_dir.clone(),
        listen: options.listen,
        http: options.http,
    };
    let workspace = Workspace::load()?;
    match options.down {
        true => down(&workspace, &programs, &place, options.yes)?,
        false => up(&workspace, &programs, &place)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(workspace: &Workspace, programs: &Installed, place: &Place) -> Result<()> {
    let begun = Instant::now();
    packages::install()?;
    let changed = programs.update(workspace)?;
    service::start(programs, place, changed)?;
    log_in(programs, place)?;
    let sample = Sample::check_out(workspace, programs)?;
    sample.deploy()?;
    let url = sample.url()?;
    let page = fetch::page(at_loopback(place.http), host(&url), "/")?;
    println!("--- {url} says: {}", page.lines().next().unwrap_or_default());
    println!("\nFlynn runs ({} s). To try next:\n", begun.elapsed().as_secs());
    println!("  curl {url}");
    println!("  cd {}", sample.directory.display());
    println!("  flynn logs                  what the app says");
    println!("  flynn scale web=3           three instances");
    println!("  flynn config set NAME=you   a variable, and a release with it");
    println!("  git commit --allow-empty --message=again && git push flynn main");
    println!("\n`cargo xtask up --down` undoes all of it.");
    Ok(())
}

fn down(workspace: &Workspace, programs: &Installed, place: &Place, yes: bool) -> Result<()> {
    if !yes {
        refuse_to_lose_apps(programs)?;
    }
    service::stop(programs, place)?;
    forget_cluster(programs)?;
    programs.remove()?;
    for folder in [place.data.clone(), workspace.target.join("up")] {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
    }
    println!("Flynn is gone from this machine; its Debian packages and this checkout stay.");
    Ok(())
}

/// Data die with the platform, so it is not taken down in passing when somebody uses it.
fn refuse_to_lose_apps(programs: &Installed) -> Result<()> {
    let listed = Command::new(programs.program("flynn")).args(["apps", "--json"]).output();
    let Ok(listed) = listed.map(|output| output.stdout) else {
        return Ok(());
    };
    let apps: serde_json::Value = serde_json::from_slice(&listed).unwrap_or_default();
    let names = apps["items"].as_array().into_iter().flatten().filter_map(|app| app["name"].as_str());
    let others: Vec<_> = names.filter(|name| *name != sample::APP).collect();
    if !others.is_empty() {
        bail!("this would destroy the apps {} with their data: add --yes if you mean it", others.join(", "));
    }
    Ok(())
}

fn log_in(programs: &Installed, place: &Place) -> Result<()> {
    let flynn = programs.program("flynn");
    let known = Command::new(&flynn).arg("whoami").output().is_ok_and(|output| output.status.success());
    if known {
        return Ok(());
    }
    println!("--- flynn login");
    let mut login = Command::new(flynn);
    login.arg("login").arg("--socket").arg(place.run.join("flynnd.sock"));
    login.arg("--url").arg(format!("http://{}", at_loopback(place.listen)));
    process::run(&mut login, LOGIN)
}

fn forget_cluster(programs: &Installed) -> Result<()> {
    let flynn = programs.program("flynn");
    if !flynn.exists() {
        return Ok(());
    }
    // Somebody who never logged in has nothing to forget.
    let output = Command::new(flynn).args(["logout"]).output().context("logging out")?;
    drop(output);
    Ok(())
}

/// An address that a client on this machine reaches.
fn at_loopback(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// The host of an `http` URL, with its port if it has one.
fn host(url: &str) -> &str {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.split('/').next().unwrap_or(rest)
}
