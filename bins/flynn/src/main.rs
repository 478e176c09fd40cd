//! Flynn's command line: apps, deploys, processes, logs and routes of a cluster.
//!
//! Not here: `doctor`, `deployments promote`, `drains`, TCP routes, certificates by ACME (`certs auto`),
//! volumes and add-ons, `keys`, and `nodes label/remove/token`. A cluster is reached over plain HTTP or a
//! socket, not over TLS.

mod archive;
mod commands;
mod environment;
mod failure;
mod git;
mod grammar;
mod image_ref;
mod output;
mod progress;
mod render;
mod session;
mod settings;
mod terminal;

use std::process::ExitCode;

use environment::Environment;
use failure::Failure;
use session::Session;

fn main() -> ExitCode {
    let run = || -> Result<ExitCode, Failure> {
        let cli = match grammar::parse(std::env::args_os()) {
            Ok(cli) => cli,
            Err(grammar::Stop::Told(code)) => return Ok(code),
            Err(grammar::Stop::Usage(failure)) => return Err(failure),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
        let session = Session::new(cli.global, Environment::read());
        let ended = runtime.block_on(commands::run(&session, cli.command));
        // A read of the terminal that nobody will answer must not keep the process.
        runtime.shutdown_background();
        ended
    };
    run().unwrap_or_else(|failure| failure.report())
}
