//! `cargo xtask up`: from a checkout to a running platform with an app on it, and back.

mod client;
mod fetch;
mod install;
mod sample;
mod service;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::workspace::Workspace;
use client::{Client, at_loopback};
use install::Installed;
use sample::Sample;
use service::Place;

const USUAL_PREFIX: &str = "/usr/local";

/// What may be said on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Undo it: end the platform and all apps, and remove programs, data and configuration. Debian packages stay.
    #[arg(long)]
    down: bool,
    /// With --down: also if there are apps besides the sample.
    #[arg(long, requires = "down")]
    yes: bool,
    /// Install the programs that are in this folder; without it, they are built of this checkout.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// The folder below which programs are installed. Only from the usual one does systemd start them.
    #[arg(long, value_name = "FOLDER", default_value = USUAL_PREFIX)]
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
    /// Where apps that have a certificate are served over HTTPS.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:443")]
    https: SocketAddr,
    /// Further arguments of flynnd, behind `--`.
    #[arg(last = true, value_name = "ARGUMENT")]
    flynnd: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    packages::check_machine()?;
    let programs = Installed::below(&options.prefix);
    let place = Place {
        data: options.data_dir.clone(),
        run: options.run_dir.clone(),
        listen: options.listen,
        http: options.http,
        https: options.https,
        further: options.flynnd.clone(),
        is_unit: options.prefix == Path::new(USUAL_PREFIX) && service::has_systemd(),
    };
    let workspace = Workspace::load()?;
    let client = Client::new(programs.program("flynn"), options.listen);
    match options.down {
        true => down(&workspace, &programs, &place, &client, options.yes)?,
        false => up(&workspace, &programs, &place, &client, options.programs.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn up(workspace: &Workspace, programs: &Installed, place: &Place, client: &Client, built: Option<&Path>) -> Result<()> {
    let begun = Instant::now();
    packages::install(packages::RUNNING)?;
    let changed = programs.update(workspace, built)?;
    service::start(programs, place, changed)?;
    client.log_in(place)?;
    let sample = Sample::check_out(workspace, client)?;
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

fn down(workspace: &Workspace, programs: &Installed, place: &Place, client: &Client, yes: bool) -> Result<()> {
    if !yes && place.data.exists() {
        refuse_to_lose_apps(client)?;
    }
    service::stop(programs, place)?;
    client.forget()?;
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
fn refuse_to_lose_apps(client: &Client) -> Result<()> {
    let apps = client.apps().context("nobody says whether this would destroy apps: add --yes if you mean it")?;
    let others: Vec<_> = apps.into_iter().filter(|name| name != sample::APP).collect();
    if !others.is_empty() {
        bail!("this would destroy the apps {} with their data: add --yes if you mean it", others.join(", "));
    }
    Ok(())
}

/// The host of an `http` URL, with its port if it has one.
fn host(url: &str) -> &str {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.split('/').next().unwrap_or(rest)
}
