use std::sync::{Mutex, PoisonError};

use flynn_core::port::{LogLine, LogSink, LogStream};
use flynn_core::{BuildId, Clock, Timestamp};

/// The log of one build, and where the build stands.
pub struct BuildLog<'a> {
    build: BuildId,
    sink: &'a dyn LogSink,
    clock: &'a dyn Clock,
    step: Mutex<&'static str>,
}

impl std::fmt::Debug for BuildLog<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildLog").field("build", &self.build).field("step", &self.step).finish_non_exhaustive()
    }
}

impl<'a> BuildLog<'a> {
    /// The log of `build`, written to `sink`.
    pub fn new(build: BuildId, sink: &'a dyn LogSink, clock: &'a dyn Clock) -> Self {
        Self { build, sink, clock, step: Mutex::new("prepare") }
    }

    /// Writes a line of a tool that runs.
    pub fn line(&self, text: impl Into<String>) {
        let at = self.clock.now();
        self.sink.emit(LogLine { at, stream: LogStream::Build(self.build), text: text.into() });
    }

    /// Writes a line about the build itself.
    pub fn say(&self, text: impl std::fmt::Display) {
        self.line(format!("-----> {text}"));
    }

    /// Something that the author should know.
    pub fn note(&self, text: impl std::fmt::Display) {
        self.line(format!("       note: {text}"));
    }

    /// The time, by the clock that lines are dated by.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Names the step that begins. An error that no step names is blamed on it.
    pub fn begin(&self, step: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// The step that is under way.
    pub fn step(&self) -> &'static str {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
