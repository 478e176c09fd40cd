//! The repository's own commands, run as `cargo xtask COMMAND`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a developer's command reads the clock and speaks on the terminal"
)]

mod advisories;
mod bench;
mod features;
mod packages;
mod process;
mod skips;
mod stage;
mod tally;
mod test;
mod tools;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Command {
    /// Pass every gate and every test; continuous integration runs the same command.
    Test(test::Options),
    /// Measure the platform and print what came out.
    Bench(bench::Options),
    /// Install Flynn on this machine, start it, and deploy a sample app to it; --down undoes it.
    Up(up::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Up(options) => up::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
