use std::net::SocketAddr;
use std::sync::Arc;

use crate::id::Id;
use crate::name::{AppName, ProcessName};
use crate::noun::{AppId, DeploymentId, NodeId, ObjectId, ProcessType, ReleaseId, Stored};
use crate::rule::{
    Claim, Footprint, Invalid, NounRules, Usage, check_env, check_length, check_number, check_resources,
};
use crate::time::Timestamp;
use crate::value::{Digest, Env, Resources};

/// The id of a [`Job`].
pub type JobId = Id<Job>;

/// One instance of a process type, from the decision to run it to its end. A restart is another job.
///
/// A job carries all that its node needs, so that a node reads its own jobs and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The app.
    pub app: AppId,
    /// The release it is an instance of.
    pub release: ReleaseId,
    /// Service or one-off.
    pub purpose: Purpose,
    /// What is run.
    pub workload: Arc<Workload>,
    /// What it asks for, and may not exceed.
    pub resources: Resources,
    /// How many of its predecessors in a row failed; restarts wait longer for a higher count.
    pub attempt: u32,
    /// It is not started before this time.
    pub not_before: Timestamp,
    /// The node it is placed on. Set once, never changed.
    pub node: Option<NodeId>,
    /// What is intended for it.
    pub desired: Desired,
}

/// What a job is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// An instance of a formation, such as `web.1`.
    Service {
        /// Its process type.
        process: ProcessName,
        /// Its number within process type and release, from 1.
        instance: u32,
        /// The deployment that started it, if one did.
        deployment: Option<DeploymentId>,
    },
    /// A `run`: it ends by itself and is not replaced.
    OneOff {
        /// Whether it has a terminal.
        terminal: Terminal,
        /// Where its input comes from.
        input: OneOffInput,
    },
}

/// Where the input of a `run` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneOffInput {
    /// From whoever attaches to it. Its node starts it only when somebody does, so that no output is lost; if
    /// nobody does within a minute, it ends without having run.
    Attached,
    /// There is none: it is started at once, and what it writes goes to the log.
    Closed,
}

/// Whether a process has a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Plain pipes.
    None,
    /// A pseudo-terminal.
    Pty,
}

/// Image, program and environment of a job, and what it is told of where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// What the app was called when the job was made.
    pub app: AppName,
    /// The number of the release within the app, from 1.
    pub release: u64,
    /// The image manifest.
    pub image: Digest,
    /// Program, port, check and stop time.
    pub process: ProcessType,
    /// Its environment.
    pub env: Env,
}

/// What is intended for a job. It only moves on, from `Up` over `Replace` and `Drain` to `Down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Desired {
    /// Run.
    Up,
    /// Run and serve until another instance serves in its place, then drain.
    Replace,
    /// Run on, but get no new requests: routers take it out of their tables and acknowledge that.
    Drain,
    /// End: TERM, the stop time, KILL. There is no way back.
    Down,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobStatus {
    /// Where it is in its life.
    pub state: JobState,
    /// When it entered that state.
    pub since: Timestamp,
}

/// The life of a job. `Exited` and `Lost` are ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Not placed, and why.
    Pending {
        /// The reason, in words for the app's developer.
        reason: String,
    },
    /// Placed; the node has not begun.
    Assigned,
    /// The node prepares or starts it, or waits for its first healthy answer.
    Starting,
    /// It runs.
    Up {
        /// Where it serves, if it has a port.
        address: Option<SocketAddr>,
        /// What its check says.
        health: Health,
    },
    /// It was told to end.
    Stopping,
    /// It ended.
    Exited(Exit),
    /// Its node or its supervisor is gone, so nobody will ever know its end.
    Lost {
        /// What happened.
        reason: String,
    },
}

impl Default for JobState {
    fn default() -> Self {
        Self::Pending { reason: String::from("not considered yet") }
    }
}

/// What a job's health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It passes, or there is none.
    Healthy,
    /// It failed as often in a row as its threshold says.
    Unhealthy,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// The kernel killed it for its memory limit.
    OutOfMemory,
    /// Its node killed it for its disk limit.
    OutOfDisk {
        /// How much it wrote of what.
        reason: String,
    },
    /// It never ran.
    NotStarted {
        /// Why not.
        reason: String,
    },
}

impl Stored<Job> {
    /// What the job is called: `web.1`, or `run.` and the last eight digits of its id.
    pub fn name(&self) -> String {
        match &self.spec.purpose {
            Purpose::Service { process, instance, .. } => format!("{process}.{instance}"),
            Purpose::OneOff { .. } => {
                let id = self.id.uuid().simple().to_string();
                format!("run.{}", &id[id.len() - 8..])
            }
        }
    }
}

impl Exit {
    /// Whether the job did what it was meant to.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }

    /// What the reason says of a job that [never ran](Self::NotStarted) because there is no such program.
    pub const NO_PROGRAM: &str = "there is no program ";

    /// The code a shell would report: 128 and the signal number for a signal, 127 if there is no such program, 126 if
    /// it could not be run.
    pub fn shell_code(&self) -> i32 {
        match self {
            Self::NotStarted { reason } if reason.contains(Self::NO_PROGRAM) => 127,
            Self::Code(code) => *code,
            Self::Signal(signal) => 128 + signal,
            Self::OutOfMemory | Self::OutOfDisk { .. } => 137,
            Self::NotStarted { .. } => 126,
        }
    }
}

impl JobState {
    /// Whether nothing follows.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Lost { .. })
    }

    /// Whether `next` may follow directly.
    pub fn may_become(&self, next: &Self) -> bool {
        let stage = |state: &Self| match state {
            Self::Pending { .. } => 0,
            Self::Assigned => 1,
            Self::Starting => 2,
            Self::Up { .. } => 3,
            Self::Stopping => 4,
            Self::Exited(_) | Self::Lost { .. } => 5,
        };
        match (self, next) {
            (Self::Pending { .. }, Self::Pending { .. } | Self::Assigned) => true,
            (Self::Pending { .. }, _) => false,
            (Self::Up { .. }, Self::Up { .. }) => true,
            (from, _) if from.is_end() => false,
            (from, to) => stage(from) < stage(to),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Assigned => "assigned",
            Self::Starting => "starting",
            Self::Up { .. } => "up",
            Self::Stopping => "stopping",
            Self::Exited(_) => "exited",
            Self::Lost { .. } => "lost",
        }
    }
}

impl NounRules for Job {
    const ARCHIVED: bool = true;

    fn validate(&self) -> Result<(), Invalid> {
        if let Purpose::Service { instance: 0, .. } = self.purpose {
            return Err(Invalid::new("purpose.instance", "instances are numbered from 1"));
        }
        check_resources("resources", self.resources)?;
        check_number("workload.release", self.workload.release)?;
        self.workload.process.validate("workload")?;
        check_env("workload.env", &self.workload.env)
    }

    fn validate_update(&self, next: &Self) -> Result<(), Invalid> {
        if self.node.is_some() && self.node != next.node {
            return Err(Invalid::new("node", "a placed job never moves: stop it and create another"));
        }
        if next.desired < self.desired {
            return Err(Invalid::new(
                "desired",
                "a job that was told to drain or end cannot be called back: create another",
            ));
        }
        let fixed = Self { node: self.node, desired: self.desired, ..next.clone() };
        if fixed != *self {
            return Err(Invalid::new("job", "only node and desired of a job can change"));
        }
        Ok(())
    }

    fn validate_report(&self, old: &JobStatus, new: &JobStatus) -> Result<(), Invalid> {
        if let JobState::Pending { reason }
        | JobState::Lost { reason }
        | JobState::Exited(Exit::NotStarted { reason } | Exit::OutOfDisk { reason }) = &new.state
        {
            check_length("state.reason", reason)?;
        }
        if old.state.is_end() || old.state != new.state && !old.state.may_become(&new.state) {
            let problem = format!("a job that is {} cannot become {}", old.state.name(), new.state.name());
            return Err(Invalid::new("state", problem));
        }
        Ok(())
    }

    fn validate_whole(&self, status: &JobStatus) -> Result<(), Invalid> {
        let pending = matches!(status.state, JobState::Pending { .. });
        if pending == self.node.is_some() {
            return Err(Invalid::new(
                "node",
                "a job has a node if and only if it is not pending: write both in one batch",
            ));
        }
        Ok(())
    }

    fn validate_removal(&self, status: &JobStatus) -> Result<(), Invalid> {
        if status.state.is_end() || matches!(status.state, JobState::Pending { .. }) {
            return Ok(());
        }
        Err(Invalid::new("state", format!("a job that is {} cannot be removed: stop it first", status.state.name())))
    }

    fn footprint(&self, _: JobId, status: &JobStatus) -> Footprint {
        let ended = status.state.is_end();
        let mut references = vec![self.app.into(), self.release.into()];
        references.extend(self.node.filter(|_| !ended).map(ObjectId::from));
        let (claims, usage) = match &self.purpose {
            _ if ended => (vec![], Usage::ZERO),
            Purpose::Service { process, instance, .. } => {
                (vec![Claim::Instance(self.release, process.clone(), *instance)], Usage::ZERO)
            }
            Purpose::OneOff { .. } => (vec![], Usage { instances: 1, resources: self.resources, ..Usage::ZERO }),
        };
        let load = (!ended).then_some(self.resources);
        Footprint { app: Some(self.app), node: self.node, claims, references, load, usage, hosts: vec![] }
    }
}
