use futures::stream::BoxStream;

use crate::name::ProcessName;
use crate::noun::{AppId, BuildId, JobId};
use crate::time::Timestamp;

/// Takes log lines.
pub trait LogSink: Send + Sync {
    /// Takes a line. It never blocks: a line that there is no room for is dropped and counted.
    fn emit(&self, line: LogLine);

    /// How many lines were dropped so far.
    fn dropped(&self) -> u64;
}

/// Gives log lines back.
pub trait LogSource: Send + Sync {
    /// The lines that match, oldest first; with `follow` also those to come.
    fn lines(&self, query: LogQuery) -> Lines;
}

/// A stream of log lines.
pub type Lines = BoxStream<'static, LogLine>;

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// By what.
    pub stream: LogStream,
    /// The line without its end, valid UTF-8 with what was not replaced by U+FFFD.
    pub text: String,
}

/// What writes lines.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogStream {
    /// The standard output of a job.
    Output(JobId),
    /// The standard error of a job.
    Errors(JobId),
    /// A build.
    Build(BuildId),
    /// The platform itself, about an app.
    Platform(AppId),
}

/// Which lines are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Of this app.
    pub app: AppId,
    /// Written by what.
    pub source: LogSelection,
    /// Not older than this, if given.
    pub since: Option<Timestamp>,
    /// At most this many of those that are there already, the newest.
    pub last: usize,
    /// Whether the lines to come are wanted too.
    pub follow: bool,
}

/// Whose lines are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogSelection {
    /// Those of all jobs of the app, and of the platform about it. Not those of its builds.
    App,
    /// Those of all jobs of one process type.
    Process(ProcessName),
    /// Those of one job.
    Job(JobId),
    /// Those of one build.
    Build(BuildId),
}
