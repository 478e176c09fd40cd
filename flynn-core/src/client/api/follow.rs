//! Logs, events, and processes that are run or joined.

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::stream::{Incoming, Joined};
use super::transport::Ask;
use super::{Api, ApiError};
use crate::api::{Build, Event, EventQuery, Job, LogEntry, LogQuery, NewExec, NewRun, Notice};

/// What a log says next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LogNews {
    /// A line.
    Line(LogEntry),
    /// Something about the log, such as that the lines of a node are missing.
    Notice(String),
    /// There is no more, and why.
    End(String),
    /// There is no more because this build has ended.
    Built(Box<Build>),
}

/// What is said of changes next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventNews {
    /// An object was changed.
    Change(Event),
    /// Events are missing: read everything again. Nothing follows.
    Reload(String),
    /// Nothing follows, and why.
    End(String),
}

/// A log, as it is written.
pub struct Logs(Incoming);

/// Changes, as they are made.
pub struct Events(Incoming);

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Incoming {
    fn read<T: DeserializeOwned>(&self, data: &str) -> Result<T, ApiError> {
        self.transport.decode(self.operation, data.as_bytes())
    }

    fn text(&self, data: &str) -> Result<String, ApiError> {
        self.read(data).map(|Notice { text }| text)
    }
}

impl Logs {
    /// What comes next; none if the answer ended. Dropping it while it waits loses nothing.
    ///
    /// # Errors
    /// `Unreachable` if the way broke or nothing was heard on it for a minute.
    pub async fn next(&mut self) -> Result<Option<LogNews>, ApiError> {
        while let Some(event) = self.0.next().await? {
            return Ok(Some(match event.name.as_str() {
                "line" => LogNews::Line(self.0.read(&event.data)?),
                "notice" => LogNews::Notice(self.0.text(&event.data)?),
                "end" => match self.0.text(&event.data) {
                    Ok(text) => LogNews::End(text),
                    Err(_) => LogNews::Built(self.0.read(&event.data)?),
                },
                _ => continue,
            }));
        }
        Ok(None)
    }
}

impl Events {
    /// What comes next; none if the answer ended. Dropping it while it waits loses nothing.
    ///
    /// # Errors
    /// `Unreachable` if the way broke or nothing was heard on it for a minute.
    pub async fn next(&mut self) -> Result<Option<EventNews>, ApiError> {
        while let Some(event) = self.0.next().await? {
            return Ok(Some(match event.name.as_str() {
                "change" => EventNews::Change(self.0.read(&event.data)?),
                "reload" => EventNews::Reload(self.0.text(&event.data)?),
                "end" => EventNews::End(self.0.text(&event.data)?),
                _ => continue,
            }));
        }
        Ok(None)
    }
}

impl Api {
    /// The log of an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn logs(&self, app: &str, query: &LogQuery) -> Result<Logs, ApiError> {
        const LOGS: &str = "read the log";
        let LogQuery { lines, process, job, since, follow } = query;
        let ask = Ask::get(LOGS, &["apps", app, "logs"])
            .query("lines", *lines)
            .query("process", process.as_ref())
            .query("job", job.as_ref())
            .query("since", *since)
            .query("follow", follow.then_some(true));
        Incoming::open(self.transport.clone(), LOGS, ask).await.map(Logs)
    }

    /// The log of a build, to its end.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn build_logs(&self, app: &str, build: &str) -> Result<Logs, ApiError> {
        const LOGS: &str = "read the log of the build";
        let ask = Ask::get(LOGS, &["apps", app, "builds", build, "logs"]);
        Incoming::open(self.transport.clone(), LOGS, ask).await.map(Logs)
    }

    /// What changes. To go on where it broke, ask for what is `after` the last revision whose events have all come,
    /// which is the one before that of the last event.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn events(&self, query: &EventQuery) -> Result<Events, ApiError> {
        const EVENTS: &str = "follow what changes";
        let EventQuery { app, team, after } = query;
        let ask = Ask::get(EVENTS, &["events"]);
        let ask = ask.query("app", app.as_ref()).query("team", team.as_ref()).query("after", *after);
        Incoming::open(self.transport.clone(), EVENTS, ask).await.map(Events)
    }

    /// Makes a one-off job of an app.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn run(&self, app: &str, run: &NewRun) -> Result<Job, ApiError> {
        self.transport.fetch(Ask::new("run", Method::POST, &["apps", app, "run"]).body(run)?).await
    }

    /// Joins a job that was run to be attached to. It starts then, or says in its last frame why it does not.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn attach(&self, app: &str, job: &str) -> Result<Joined, ApiError> {
        const ATTACH: &str = "attach";
        let ask = Ask::get(ATTACH, &["apps", app, "jobs", job, "attach"]);
        Joined::open(self.transport.clone(), ATTACH, ask).await
    }

    /// Runs a program beside a job and joins it.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn exec(&self, app: &str, job: &str, exec: &NewExec) -> Result<Joined, ApiError> {
        const EXEC: &str = "run a program beside the process";
        let ask = Ask::get(EXEC, &["apps", app, "jobs", job, "exec"]);
        let text = serde_json::to_string(exec).map_err(|error| ApiError::Failed {
            operation: EXEC,
            problem: String::from("the request cannot be written as JSON"),
            source: Some(error.into()),
        })?;
        let mut joined = Joined::open(self.transport.clone(), EXEC, ask).await?;
        joined.input.describe(text).await?;
        Ok(joined)
    }
}
