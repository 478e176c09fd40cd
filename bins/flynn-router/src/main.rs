//! The edge of Flynn: brings HTTP requests to the instances of apps.
//!
//! It follows the routes of a file, or those of a store that is served elsewhere. Of a store, the last table that it knew is on disk, so that it
//! serves at once at its start and goes on while the control plane is away.

mod access;
mod access_file;
mod arguments;
mod certificate_keys;
mod edge;
mod membership;
mod source;
mod workers;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    flynn_instance::run("flynn-router", || edge::Edge::prepare(arguments)?.run())
}
