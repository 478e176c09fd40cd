//! `flynn run`, `exec` and `attach`: processes that the user's terminal or pipes belong to.

use std::process::ExitCode;

use clap::Args;
use flynn_core::api::{NewExec, NewRun};

use super::bridge;
use crate::failure::Failure;
use crate::session::Session;
use crate::terminal;

/// Run a program once in the release that serves, and end as it does
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Do not wait for it; what it writes goes to the log
    #[arg(short, long)]
    detach: bool,
    /// Use pipes even on a terminal
    #[arg(long)]
    no_tty: bool,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Run a program beside a process, with its files and environment
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// Use pipes even on a terminal
    #[arg(long)]
    no_tty: bool,
    /// Such as web.1
    process: String,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Join a program that was started by `run`, or see what another process writes
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// Such as run.1a2b3c4d or web.1
    process: String,
}

pub(super) async fn run(session: &Session, command: Run) -> Result<ExitCode, Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let raw = terminal::is_present() && !command.no_tty && !command.detach;
    let wish = NewRun { command: command.command, terminal: raw, detach: command.detach, ..NewRun::default() };
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
    let raw = terminal::is_present() && !command.no_tty;
    let size = terminal::size().filter(|_| raw);
    let wish = NewExec {
        command: command.command,
        terminal: raw,
        rows: size.map(|size| size.rows),
        columns: size.map(|size| size.columns),
        ..NewExec::default()
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
