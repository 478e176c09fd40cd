//! The repository's own commands, run as `cargo xtask COMMAND`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a developer's command reads the clock and speaks on the terminal"
)]

mod advisories;
mod features;
mod process;
mod skips;
mod stage;
mod tally;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Command {
    /// Pass every gate and every test; continuous integration runs the same command.
    Test(test::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Test(options) => test::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
