//! What ends a command early: one line on standard error and an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::output::printable;

/// Why a command failed: what, why and what to do, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

/// What a script can tell failures apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed,
    Usage,
    NotFound,
    Conflict,
    NotAllowed,
    Unreachable,
    /// A remote process could not be run, which a shell reports by this code.
    NotStarted(u8),
    /// Whoever read the output has gone: there is nobody to tell.
    Unread,
}

impl Failure {
    /// It was tried and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into() }
    }

    /// The command line asks for what makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, message: message.into() }
    }

    /// What was named is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, message: message.into() }
    }

    /// It is taken, or changed meanwhile.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self { kind: Kind::Conflict, message: message.into() }
    }

    /// The caller may not do it.
    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self { kind: Kind::NotAllowed, message: message.into() }
    }

    /// The cluster does not answer.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self { kind: Kind::Unreachable, message: message.into() }
    }

    /// A remote process could not be run; a shell would report `code`.
    pub(crate) fn not_started(message: impl Into<String>, code: i32) -> Self {
        Self { kind: Kind::NotStarted(u8::try_from(code).unwrap_or(126)), message: message.into() }
    }

    /// The same failure with a hint at what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.message = format!("{}; {hint}", self.message);
        self
    }

    /// Whether the cluster does not answer.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.kind == Kind::Unreachable
    }

    /// The code that the process ends with.
    pub(crate) fn code(&self) -> u8 {
        match self.kind {
            Kind::Unread => 0,
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::NotFound => 3,
            Kind::Conflict => 4,
            Kind::NotAllowed => 5,
            Kind::Unreachable => 6,
            Kind::NotStarted(code) => code,
        }
    }

    /// The text without control characters, on one line.
    pub(crate) fn line(&self) -> String {
        printable(&self.message)
    }

    /// Tells the user, and gives the code that the process ends with.
    pub(crate) fn report(&self) -> ExitCode {
        if self.kind != Kind::Unread {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(io::stderr(), "error: {}", self.line());
        }
        ExitCode::from(self.code())
    }
}

impl From<io::Error> for Failure {
    /// A failure to write what was asked for.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { kind: Kind::Unread, message: String::new() },
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_without_control_characters() {
        let failure = Failure::failed("a\nb\u{1b}[31m").hint("do c");
        assert_eq!((failure.line().as_str(), failure.code()), (r"a b\u{1b}[31m; do c", 1));
    }

    #[test]
    fn codes_are_those_that_scripts_rely_on() {
        let all = [
            Failure::failed(""),
            Failure::usage(""),
            Failure::not_found(""),
            Failure::conflict(""),
            Failure::not_allowed(""),
            Failure::unreachable(""),
        ];
        assert_eq!(all.map(|failure| failure.code()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).code(), 0);
    }
}
