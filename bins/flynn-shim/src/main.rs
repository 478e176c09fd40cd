//! The supervisor of one job: parent of its first process, owner of its output and its exit.
//!
//! The process that was started ends as soon as the job is ready, with status 0, or with the reason on its standard
//! error if it cannot be made ready; what it forked lives on until it is told to remove the job. Called with `filter`
//! it compiles a system call filter instead.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let is_filter = std::env::args_os().nth(1).is_some_and(|word| word == "filter");
    let done = if is_filter { flynn_shim::compile_filter() } else { flynn_shim::launch() };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}
