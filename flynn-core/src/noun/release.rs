use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::Id;
use crate::name::{PathPrefix, ProcessName};
use crate::noun::{AppId, BuildId};
use crate::rule::{
    Claim, Footprint, Invalid, NounRules, check_command, check_env, check_number, check_span, check_text,
};
use crate::value::{Digest, Env};

/// The id of a [`Release`].
pub type ReleaseId = Id<Release>;

/// An immutable version of an app: image, configuration and process types. `v1`, `v2` … per app.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The app.
    pub app: AppId,
    /// Its number within the app, from 1.
    pub number: u64,
    /// The digest of the image manifest. Its blobs were durable before the release was committed.
    pub image: Digest,
    /// The configuration at the time.
    pub env: Env,
    /// What can be run.
    pub processes: BTreeMap<ProcessName, ProcessType>,
    /// Why it exists.
    pub cause: ReleaseCause,
    /// The source commit, where there is one, as text of the version control system.
    pub commit: Option<String>,
    /// The branch that the commit was pushed to, where it was.
    pub branch: Option<String>,
}

/// What a release was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseCause {
    /// A build.
    Build(BuildId),
    /// A change of the configuration; names the keys.
    Config(String),
    /// A return to the release of this number.
    Rollback(u64),
    /// An image that was uploaded.
    Image(String),
}

/// One kind of process of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessType {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The port it listens on, for those that serve.
    pub port: Option<u16>,
    /// How to tell that an instance is ready and stays well.
    pub check: Option<HealthCheck>,
    /// The time between TERM and KILL.
    pub stop_timeout: Duration,
}

impl Release {
    /// A release of an uploaded image that is called `name`, without configuration.
    pub fn of_image(
        app: AppId,
        number: u64,
        image: Digest,
        name: impl Into<String>,
        processes: BTreeMap<ProcessName, ProcessType>,
    ) -> Self {
        let cause = ReleaseCause::Image(name.into());
        Self { app, number, image, env: Env::new(), processes, cause, commit: None, branch: None }
    }
}

impl ProcessType {
    /// The time between TERM and KILL where nothing else is said.
    pub const STOP_TIMEOUT: Duration = Duration::from_secs(30);

    /// A process type that serves nothing and has no check.
    pub fn new(command: Vec<String>) -> Self {
        Self { command, port: None, check: None, stop_timeout: Self::STOP_TIMEOUT }
    }
}

/// How the health of an instance is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Time between two probes.
    pub interval: Duration,
    /// Time one probe may take.
    pub timeout: Duration,
    /// Probes in a row that must fail before a healthy instance counts as unhealthy.
    pub threshold: u32,
}

/// The question a health check asks of an instance's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Does it accept a TCP connection?
    Tcp,
    /// Does it answer `GET path` with a status from 200 to 399?
    Http {
        /// The path.
        path: PathPrefix,
    },
}

/// A release has a bounded number of process types.
pub(super) fn check_processes<T>(field: &str, processes: &BTreeMap<ProcessName, T>) -> Result<(), Invalid> {
    if processes.len() > 100 {
        return Err(Invalid::new(field, format!("{} process types are more than the 100 allowed", processes.len())));
    }
    Ok(())
}

const HOUR: Duration = Duration::from_secs(3_600);

impl ProcessType {
    pub(crate) fn validate(&self, field: &str) -> Result<(), Invalid> {
        check_command(&format!("{field}.command"), &self.command)?;
        if self.port == Some(0) {
            return Err(Invalid::new(format!("{field}.port"), "0 is not a port: use 1 to 65535"));
        }
        check_span(format!("{field}.stop_timeout"), self.stop_timeout, Duration::ZERO, HOUR)?;
        match &self.check {
            Some(_) if self.port.is_none() => {
                Err(Invalid::new(format!("{field}.check"), "a check needs a port to ask: give the process type a port"))
            }
            Some(check) => check.validate(&format!("{field}.check")),
            None => Ok(()),
        }
    }
}

impl HealthCheck {
    fn validate(&self, field: &str) -> Result<(), Invalid> {
        for (name, span) in [("interval", self.interval), ("timeout", self.timeout)] {
            check_span(format!("{field}.{name}"), span, Duration::from_millis(10), HOUR)?;
        }
        if self.threshold == 0 {
            return Err(Invalid::new(format!("{field}.threshold"), "use 1 or more"));
        }
        Ok(())
    }
}

impl NounRules for Release {
    const ARCHIVED: bool = true;

    fn validate(&self) -> Result<(), Invalid> {
        check_number("number", self.number)?;
        check_processes("processes", &self.processes)?;
        check_env("env", &self.env)?;
        if let Some(commit) = &self.commit {
            check_text("commit", commit, 128)?;
        }
        if let Some(branch) = &self.branch {
            check_text("branch", branch, 256)?;
        }
        if let ReleaseCause::Config(text) | ReleaseCause::Image(text) = &self.cause {
            check_text("cause", text, 4_096)?;
        }
        self.processes.iter().try_for_each(|(name, process)| process.validate(&format!("processes.{name}")))
    }

    fn validate_update(&self, _: &Self) -> Result<(), Invalid> {
        Err(Invalid::new("release", "a release never changes: create the next one"))
    }

    fn footprint(&self, _: ReleaseId, (): &()) -> Footprint {
        Footprint {
            app: Some(self.app),
            claims: vec![Claim::ReleaseNumber(self.app, self.number)],
            references: vec![self.app.into()],
            ..Footprint::default()
        }
    }
}
