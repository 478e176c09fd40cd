use std::path::{Path, PathBuf};

use flynn_core::name::ProcessName;
use flynn_core::port::LogStream;
use flynn_core::{AppId, BuildId, JobId};
use serde::{Deserialize, Serialize};

use crate::shim::Tag;

/// What lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Job(AppId, JobId),
    Platform(AppId),
    Build(BuildId),
}

/// What is known of a job whose log is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// Its process type; none for a one-off job.
    pub(super) process: Option<ProcessName>,
}

impl Origin {
    /// Its directory below that of all logs.
    pub(super) fn directory(&self, root: &Path) -> PathBuf {
        match self {
            Self::Job(app, job) => jobs(root, *app).join(job.to_string()),
            Self::Platform(app) => root.join(app.to_string()).join("platform"),
            Self::Build(build) => root.join("builds").join(build.to_string()),
        }
    }

    /// Who wrote what has this tag in its files.
    pub(super) fn stream(&self, tag: Tag) -> LogStream {
        match (self, tag) {
            (Self::Job(_, job), Tag::Output) => LogStream::Output(*job),
            (Self::Job(_, job), Tag::Errors) => LogStream::Errors(*job),
            (Self::Job(app, _), Tag::Platform) | (Self::Platform(app), _) => LogStream::Platform(*app),
            (Self::Build(build), _) => LogStream::Build(*build),
        }
    }
}

/// Where the logs of an app's jobs are.
pub(super) fn jobs(root: &Path, app: AppId) -> PathBuf {
    root.join(app.to_string()).join("jobs")
}
