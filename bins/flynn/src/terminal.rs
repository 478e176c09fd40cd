//! The user's terminal in raw mode, and back.

use std::io;

use flynn_core::port::TerminalSize;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// Whether standard input and output are a terminal.
pub(crate) fn is_present() -> bool {
    isatty(stdin()) && isatty(stdout())
}

/// How large the terminal is; none if standard output is no terminal.
pub(crate) fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Raw mode: every key goes to the remote process, Ctrl-C too. Dropping it restores what was before, on every way out,
/// a panic included.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Sets standard input to raw mode.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Raw")
    }
}
