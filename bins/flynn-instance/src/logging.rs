use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;

/// Writes what the program has to say about itself to standard error: with colour on a terminal, and with the time
/// unless the system's journal adds it.
pub fn start_logging(level: LevelFilter) {
    #[allow(clippy::disallowed_methods, reason = "a binary reads its environment")]
    let has_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match has_journal {
        true => lines.without_time().init(),
        false => lines.init(),
    }
}
