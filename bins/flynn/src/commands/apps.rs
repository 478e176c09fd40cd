//! Apps: `create`, `apps`, `info`, `rename`, `destroy`, `open`, `maintenance`.

use std::io::{BufRead, Write};
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use flynn_core::api::{App, AppChange, AppQuery, NewApp, PageQuery};
use flynn_core::client::Api;

use super::ALL;
use crate::failure::Failure;
use crate::git::{self, Remote};
use crate::render;
use crate::session::Session;

/// Create an app, and a git remote for it in the current repository
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name; one is made up if none is given
    name: Option<String>,
    /// The team that owns it; may be left out if you are in only one
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Leave the git repository as it is
    #[arg(long)]
    no_remote: bool,
}

/// List the apps that you may see
#[derive(Debug, Args)]
pub(crate) struct Apps {
    /// Only those of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
}

/// Show an app
#[derive(Debug, Args)]
pub(crate) struct Info {}

/// Rename an app; its default host follows
#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// Its next name
    name: String,
}

/// Destroy an app with its releases, processes, routes and configuration
#[derive(Debug, Args)]
pub(crate) struct Destroy {
    /// The name of the app, once more; `-y` alone takes the name as confirmed
    #[arg(short = 'y', long, value_name = "NAME", num_args = 0..=1)]
    confirm: Option<Option<String>>,
}

/// Print the URL of an app, and open it in a browser if this is a terminal
#[derive(Debug, Args)]
pub(crate) struct Open {}

/// Answer all requests for an app with the maintenance page, or stop doing so
#[derive(Debug, Args)]
pub(crate) struct Maintenance {
    /// Shows how it is if left out
    switch: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Answer with the maintenance page
    On,
    /// Let requests reach the app
    Off,
}

pub(super) async fn create(session: &Session, command: Create) -> Result<(), Failure> {
    let cluster = session.cluster()?;
    let api = crate::session::connect(&cluster)?;
    let app = NewApp { name: command.name, team: command.team };
    let app = session.wait("Creating the app", api.create_app(&app)).await?;
    let remote = Remote { cluster: cluster.url, app: app.name.clone() };
    let wanted = !command.no_remote && remote.cluster.starts_with("http") && git::is_repository();
    let set = if wanted { Some(git::set_remote(session.remote_name(), &remote)) } else { None };
    session.output().show(&app, |style| {
        let pushed = matches!(set, Some(Ok(()))).then(|| (session.remote_name().to_owned(), git::branch()));
        render::created(&app, pushed.as_ref().map(|(remote, branch)| (remote.as_str(), branch.as_deref())), style)
    })?;
    match set {
        Some(Err(failure)) => Err(failure.hint(&format!("the app `{}` is there all the same", app.name))),
        _ => Ok(()),
    }
}

pub(super) async fn list(session: &Session, command: Apps) -> Result<(), Failure> {
    let api = session.api()?;
    let query = |page: PageQuery| AppQuery { team: command.team.clone(), cursor: page.cursor, limit: page.limit };
    let apps = Api::collect(ALL, async |page| api.apps(&query(page)).await);
    let apps = session.wait("Listing apps", apps).await?;
    session.output().show(&apps, |style| render::apps(&apps, session.now()).render(style))
}

pub(super) async fn info(session: &Session) -> Result<(), Failure> {
    let (api, name) = (session.api()?, session.app()?);
    let app = session.wait("Looking up the app", api.app(&name)).await?;
    session.output().show(&app, |style| render::app(&app, session.now()).render(style))
}

pub(super) async fn rename(session: &Session, command: Rename) -> Result<(), Failure> {
    let (cluster, name) = (session.cluster()?, session.app()?);
    let api = crate::session::connect(&cluster)?;
    let change = AppChange { name: Some(command.name), ..AppChange::default() };
    let app = session.wait("Renaming the app", api.change_app(&name, &change)).await?;
    let before = Remote { cluster: cluster.url, app: name.clone() };
    let followed = git::rename(session.remote_name(), &before, &app.name)?;
    session.output().show(&app, |_| {
        let followed =
            if followed { format!("; the git remote `{}` follows", session.remote_name()) } else { String::new() };
        format!("Renamed {name} to {}{followed}.\n", app.name)
    })
}

pub(super) async fn destroy(session: &Session, command: Destroy) -> Result<(), Failure> {
    let (cluster, named) = (session.cluster()?, session.app()?);
    let api = crate::session::connect(&cluster)?;
    let app = session.wait("Looking up the app", api.app(&named)).await?;
    let confirmed = match command.confirm {
        Some(None) => app.name.clone(),
        Some(Some(name)) => name,
        None if session.output().is_interactive() => ask_for_the_name(&app)?,
        None => {
            return Err(Failure::usage(format!(
                "destroying {} takes all of its data and cannot be undone; confirm it with `--confirm {}`",
                app.name, app.name
            )));
        }
    };
    if confirmed != app.name {
        return Err(Failure::usage(format!(
            "`{confirmed}` is not the name of the app `{}`; nothing was destroyed",
            app.name
        )));
    }
    let gone = session.wait("Destroying the app", api.destroy_app(&app.id.to_string(), &app.name)).await?;
    git::remove_remote(session.remote_name(), &Remote { cluster: cluster.url, app: app.name.clone() })?;
    session.output().show(&gone, |_| format!("{} is being destroyed.\n", gone.name))
}

fn ask_for_the_name(app: &App) -> Result<String, Failure> {
    let mut stderr = std::io::stderr();
    write!(stderr, "This destroys {} with all of its data. Type its name to go on: ", app.name)?;
    stderr.flush()?;
    let mut name = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut name)
        .map_err(|error| Failure::failed(format!("cannot read the answer: {error}")))?;
    Ok(name.trim().to_owned())
}

#[derive(serde::Serialize)]
struct Place {
    url: String,
}

pub(super) async fn open(session: &Session) -> Result<(), Failure> {
    let (api, name) = (session.api()?, session.app()?);
    let app = session.wait("Looking up the app", api.app(&name)).await?;
    let Some(url) = app.url else {
        return Err(Failure::failed(match app.hosts.is_empty() {
            true => format!("{name} has no host; add one with `flynn domains add HOST`"),
            false => format!("the cluster does not say where {name} is served; its hosts: {}", app.hosts.join(" ")),
        }));
    };
    session.output().show(&Place { url: url.clone() }, |_| format!("{url}\n"))?;
    if session.output().is_interactive() {
        // Without a browser the printed URL is all there is.
        let _ = Command::new("xdg-open")
            .arg(&url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
    Ok(())
}

pub(super) async fn maintenance(session: &Session, command: Maintenance) -> Result<(), Failure> {
    let (api, name) = (session.api()?, session.app()?);
    let app = match command.switch {
        None => session.wait("Looking up the app", api.app(&name)).await?,
        Some(switch) => {
            let change = AppChange { maintenance: Some(switch == Switch::On), ..AppChange::default() };
            session.wait("Changing the app", api.change_app(&name, &change)).await?
        }
    };
    session
        .output()
        .show(&app, |_| format!("Maintenance of {} is {}.\n", app.name, if app.maintenance { "on" } else { "off" }))
}
