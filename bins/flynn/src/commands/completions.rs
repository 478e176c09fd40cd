//! `flynn completions`: what a shell needs to complete this program's command lines.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::grammar::Cli;
use crate::session::Session;

/// Print a script that lets a shell complete commands
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

pub(super) fn run(session: &Session, command: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "flynn", &mut script);
    session.output().write(&String::from_utf8_lossy(&script))
}
