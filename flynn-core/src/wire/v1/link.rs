//! What is said over the way to a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::{EnvKey, ProcessName};
use crate::noun::{AppId, BuildId, JobId, Terminal};
use crate::port::{ExecRequest, LinkRequest, LogLine, LogQuery, LogSelection, LogStream, Signal, TerminalSize};
use crate::time::Timestamp;

forms! {
    convert LinkRequest => LinkRequestForm,
    mirror ExecRequest => ExecRequestForm,
    mirror TerminalSize => TerminalSizeForm,
    mirror LogQuery => LogQueryForm,
    convert LogSelection => LogSelectionForm,
    mirror LogLine => LogLineForm,
    convert LogStream => LogStreamForm,
    mirror Signal => SignalForm,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LinkRequestForm {
    Attach {
        job: JobId,
    },
    Exec {
        job: JobId,
        #[serde(with = "form")]
        process: ExecRequest,
    },
    Logs {
        #[serde(with = "form")]
        query: LogQuery,
    },
}

impl From<&LinkRequest> for LinkRequestForm {
    fn from(request: &LinkRequest) -> Self {
        match request.clone() {
            LinkRequest::Attach(job) => Self::Attach { job },
            LinkRequest::Exec(job, process) => Self::Exec { job, process },
            LinkRequest::Logs(query) => Self::Logs { query },
        }
    }
}

impl From<LinkRequestForm> for LinkRequest {
    fn from(request: LinkRequestForm) -> Self {
        match request {
            LinkRequestForm::Attach { job } => Self::Attach(job),
            LinkRequestForm::Exec { job, process } => Self::Exec(job, process),
            LinkRequestForm::Logs { query } => Self::Logs(query),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ExecRequest")]
struct ExecRequestForm {
    command: Vec<String>,
    #[serde(with = "form")]
    terminal: Terminal,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<EnvKey, String>,
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    size: Option<TerminalSize>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TerminalSize")]
struct TerminalSizeForm {
    rows: u16,
    columns: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LogQuery")]
struct LogQueryForm {
    app: AppId,
    #[serde(with = "form")]
    source: LogSelection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    last: usize,
    follow: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LogSelectionForm {
    App,
    Process { process: ProcessName },
    Job { job: JobId },
    Build { build: BuildId },
}

impl From<&LogSelection> for LogSelectionForm {
    fn from(selection: &LogSelection) -> Self {
        match selection.clone() {
            LogSelection::App => Self::App,
            LogSelection::Process(process) => Self::Process { process },
            LogSelection::Job(job) => Self::Job { job },
            LogSelection::Build(build) => Self::Build { build },
        }
    }
}

impl From<LogSelectionForm> for LogSelection {
    fn from(selection: LogSelectionForm) -> Self {
        match selection {
            LogSelectionForm::App => Self::App,
            LogSelectionForm::Process { process } => Self::Process(process),
            LogSelectionForm::Job { job } => Self::Job(job),
            LogSelectionForm::Build { build } => Self::Build(build),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LogLine")]
struct LogLineForm {
    at: Timestamp,
    #[serde(with = "form")]
    stream: LogStream,
    text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LogStreamForm {
    Output { job: JobId },
    Errors { job: JobId },
    Build { build: BuildId },
    Platform { app: AppId },
}

impl From<&LogStream> for LogStreamForm {
    fn from(stream: &LogStream) -> Self {
        match *stream {
            LogStream::Output(job) => Self::Output { job },
            LogStream::Errors(job) => Self::Errors { job },
            LogStream::Build(build) => Self::Build { build },
            LogStream::Platform(app) => Self::Platform { app },
        }
    }
}

impl From<LogStreamForm> for LogStream {
    fn from(stream: LogStreamForm) -> Self {
        match stream {
            LogStreamForm::Output { job } => Self::Output(job),
            LogStreamForm::Errors { job } => Self::Errors(job),
            LogStreamForm::Build { build } => Self::Build(build),
            LogStreamForm::Platform { app } => Self::Platform(app),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Signal", rename_all = "snake_case")]
enum SignalForm {
    Term,
    Kill,
    Int,
    Hup,
    Quit,
    Usr1,
    Usr2,
}
