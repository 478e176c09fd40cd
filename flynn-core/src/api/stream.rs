use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{AppId, JobId};

/// Which lines of an app's log are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogQuery {
    /// How many of the lines that are there already, at most 10,000; 100 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Only those of this process type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Only those of this job, by name or id. One that has ended is named by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// None from before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Whether the lines to come are wanted too.
    #[serde(default)]
    pub follow: bool,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    /// The job that wrote it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// What wrote it: the name of a job such as `web.1`, `build` or `flynn`.
    pub name: String,
    /// The number of the job's release, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// By which way it came: `output`, `errors`, `build` or `platform`.
    pub stream: String,
    /// When it was written.
    pub time: Time,
    /// The line, without its end.
    pub text: String,
}

/// Something about a stream and not in it, such as that the lines of a node are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// What there is to say.
    pub text: String,
}

/// Whose events are asked for. An administrator gets those of the cluster if neither is given, everybody else those
/// of their team if they have only one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventQuery {
    /// Those of this app and what hangs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Those of this team's apps and their parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Those after this revision; `Last-Event-ID` says the same. From this moment on if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// That an object was created, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// The commit that did it.
    pub revision: u64,
    /// When that was.
    pub time: Time,
    /// What the object is, such as `job`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// `put` if it was created or changed, `removed` if it is gone or out of reach.
    pub change: String,
    /// The app it belongs to, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// The word for the state it is in from then on, for a job, build or deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A one-off job that is to be run.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewRun {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// What is added to the configuration, for this job only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Whether nobody attaches to it: it starts at once and what it writes goes to the log. Otherwise it starts when
    /// its caller attaches, for which there is a minute.
    #[serde(default)]
    pub detach: bool,
    /// The number of the release; the one that serves if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
    /// Thousandths of a processor core that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Bytes of memory that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Bytes of disk that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Processes and threads that it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}

/// A process that is to be run beside a job: the first message, of text, on the WebSocket that asks for one.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewExec {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    #[serde(default)]
    pub terminal: bool,
    /// What is added to the job's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Rows of the terminal at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u16>,
    /// Columns of the terminal at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<u16>,
}

/// Values of variables may be secret, so only their names are shown.
impl fmt::Debug for NewRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        f.debug_struct("NewRun").field("command", &self.command).field("env", &env).finish_non_exhaustive()
    }
}

/// Values of variables may be secret, so only their names are shown.
impl fmt::Debug for NewExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        f.debug_struct("NewExec").field("command", &self.command).field("env", &env).finish_non_exhaustive()
    }
}
