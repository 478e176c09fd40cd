//! The supervisor of one job: parent of its first process, owner of its output and its exit.
//!
//! A runtime starts one of these per job and writes a [`Config`](flynn_runtime::shim::Config) to its
//! standard input. The process that was started ends as soon as the job is ready, with status 0, or with
//! the reason on its standard error if it cannot be made ready; what it forked lives on until it is told to
//! remove the job. There is one thread and no tokio here: libcontainer forks and goes on running ordinary
//! code in the child, which deadlocks if another thread held a lock.

mod client;
mod clients;
mod container;
mod daemon;
mod ending;
mod exec;
mod executor;
mod init;
mod log;
mod output;
mod plain;
mod root;
mod streams;
mod supervisor;
mod tree;
mod work;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match daemon::launch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}
