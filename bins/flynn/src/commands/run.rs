//! `flynn run`, `exec` and `attach`: processes that the user's terminal or pipes belong to.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use flynn_core::api::{NewExec, NewRun};

use super::bridge;
use super::config::parts;
use crate::failure::Failure;
use crate::session::Session;
use crate::terminal;

/// Run a program once in the release that serves, and end as it does
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Do not wait for it; what it writes goes to the log
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    surroundings: Surroundings,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Run a program beside a process, with its files and environment
#[derive(Debug, Args)]
pub(crate) struct Exec {
    #[command(flatten)]
    surroundings: Surroundings,
    /// Such as web.1
    process: String,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What the program finds itself in.
#[derive(Debug, Args)]
struct Surroundings {
    /// Use pipes even on a terminal
    #[arg(long)]
    no_tty: bool,
    /// Set a variable for this program only; can be given several times
    #[arg(short, long, value_name = "KEY=VALUE")]
    env: Vec<String>,
}

impl Surroundings {
    fn has_terminal(&self) -> bool {
        terminal::is_present() && !self.no_tty
    }

    /// What is set, and with a terminal also what that understands, since programs go by it.
    fn variables(&self, session: &Session, terminal: bool) -> Result<BTreeMap<String, String>, Failure> {
        let term = session.term().filter(|_| terminal).map(|term| (String::from("TERM"), term.to_owned()));
        let set = self.env.iter().map(|pair| parts(pair).map(|(key, value)| (key.to_owned(), value.to_owned())));
        term.map(Ok).into_iter().chain(set).collect()
    }
}

/// Join a program that was started by `run`, or see what another process writes
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// Such as run.1a2b3c4d or web.1
    process: String,
}

pub(super) async fn run(session: &Session, command: Run) -> Result<ExitCode, Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let raw = command.surroundings.has_terminal() && !command.detach;
    let env = command.surroundings.variables(session, raw)?;
    let wish = NewRun { command: command.command, terminal: raw, env, detach: command.detach, ..NewRun::default() };
    let job = session.wait("Starting the process", api.run(&app, &wish)).await?;
    if command.detach {
        let name = &job.name;
        session.output().show(&job, |_| format!("{name} runs. Read what it writes with `flynn logs -p {name}`.\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let joined = session.wait("Starting the process", api.attach(&app, &job.id.to_string())).await?;
    bridge::run(joined, raw).await
}

pub(super) async fn exec(session: &Session, command: Exec) -> Result<ExitCode, Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let raw = command.surroundings.has_terminal();
    let env = command.surroundings.variables(session, raw)?;
    let size = terminal::size().filter(|_| raw);
    let wish = NewExec {
        command: command.command,
        terminal: raw,
        env,
        rows: size.map(|size| size.rows),
        columns: size.map(|size| size.columns),
    };
    let joined = session.wait("Starting the program", api.exec(&app, &command.process, &wish)).await?;
    bridge::run(joined, raw).await
}

pub(super) async fn attach(session: &Session, command: Attach) -> Result<ExitCode, Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let job = session.wait("Looking up the process", api.job(&app, &command.process)).await?;
    let joined = session.wait("Attaching", api.attach(&app, &job.id.to_string())).await?;
    if job.process.is_some() {
        let name = &job.name;
        session.output().say(&format!("{name} takes no input. What it writes follows; end this with Ctrl-C."))?;
        return bridge::watch(joined).await;
    }
    bridge::run(joined, terminal::is_present()).await
}
