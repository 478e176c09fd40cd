use std::io::Write;
use std::process::ExitCode;

/// Runs a program. What goes wrong is said in one line on standard error, with all its causes, and the exit code is 1.
pub fn run(program: &str, work: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "{program}: {line}");
            ExitCode::FAILURE
        }
    }
}
