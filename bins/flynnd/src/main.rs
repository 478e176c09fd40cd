//! The control plane of Flynn on one machine: the store, the git service, the controller, and what starts and watches
//! the other processes of the instance.
//!
//! What it does not do yet: serve TLS, hand the port of a router over to its successor, and share a database with others
//! of its kind.

mod arguments;
mod children;
mod claim;
mod closing;
mod disk;
mod down;
mod git;
mod keys;
mod machine;
mod platform;
mod serve;
mod socket;
mod sources;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let Arguments { command, serve } = Arguments::parse();
    match command {
        None => flynn_instance::run("flynnd", || platform::run(*serve)),
        Some(Command::Down(place)) => flynn_instance::run("flynnd down", || down::run(&place)),
        Some(Command::Stop(place)) => flynn_instance::run("flynnd stop", || down::stop(&place)),
        #[allow(clippy::disallowed_methods, reason = "a binary reads its environment")]
        Some(Command::GitHook) => flynn_build::git::hook::run(|name| std::env::var_os(name)),
    }
}
