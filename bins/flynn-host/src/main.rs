//! The agent of a node: runs its jobs as containers, builds what is placed on it, keeps its logs, and answers what is
//! asked of it over the way that it keeps open to the control plane.
//!
//! Containers survive it. Whatever it finds at its start it takes over.
//!
//! What it does not do yet: reach containers of other machines. Apps run as user 1000 also where their image asks for root.

mod arguments;
mod builds;
mod clear;
mod collect;
mod environments;
mod machinery;
mod paths;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(serve) => flynn_instance::run("flynn-host", || serve::run(*serve)),
        Command::Clear(place) => flynn_instance::run("flynn-host clear", || clear::run(&place)),
    }
}
