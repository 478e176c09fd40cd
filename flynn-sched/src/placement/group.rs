use flynn_core::AppId;
use flynn_core::name::ProcessName;
use flynn_core::noun::{Build, Job, Purpose};

/// What counts as "the same" when instances are spread. Builds and one-off jobs have no process type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// The app.
    pub app: AppId,
    /// The process type.
    pub process: Option<ProcessName>,
}

impl Group {
    /// The group of a job.
    pub fn of_job(job: &Job) -> Self {
        let process = match &job.purpose {
            Purpose::Service { process, .. } => Some(process.clone()),
            Purpose::OneOff { .. } => None,
        };
        Self { app: job.app, process }
    }

    /// The group of a build.
    pub fn of_build(build: &Build) -> Self {
        Self { app: build.app, process: None }
    }
}
