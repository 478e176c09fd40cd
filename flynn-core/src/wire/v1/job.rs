use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::{AppName, ProcessName};
use crate::noun::{
    AppId, DeploymentId, Desired, Exit, Health, Job, JobState, JobStatus, NodeId, OneOffInput, ProcessType, Purpose,
    ReleaseId, Terminal, Workload,
};
use crate::time::Timestamp;
use crate::value::{Digest, Env, Resources};

forms! {
    mirror Job => JobForm,
    mirror Purpose => PurposeForm,
    mirror Terminal => TerminalForm,
    mirror OneOffInput => OneOffInputForm,
    mirror Workload => WorkloadForm,
    mirror Desired => DesiredForm,
    mirror JobStatus => JobStatusForm,
    convert JobState => JobStateForm,
    mirror Health => HealthForm,
    convert Exit => ExitForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Job")]
struct JobForm {
    app: AppId,
    release: ReleaseId,
    #[serde(with = "form")]
    purpose: Purpose,
    #[serde(with = "form")]
    workload: Arc<Workload>,
    resources: Resources,
    attempt: u32,
    not_before: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    #[serde(with = "form")]
    desired: Desired,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Purpose", tag = "type", rename_all = "snake_case")]
enum PurposeForm {
    Service {
        process: ProcessName,
        instance: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deployment: Option<DeploymentId>,
    },
    OneOff {
        #[serde(with = "form")]
        terminal: Terminal,
        #[serde(with = "form")]
        input: OneOffInput,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OneOffInput", rename_all = "snake_case")]
enum OneOffInputForm {
    Attached,
    Closed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Terminal", rename_all = "snake_case")]
enum TerminalForm {
    None,
    Pty,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Workload")]
struct WorkloadForm {
    app: AppName,
    release: u64,
    image: Digest,
    #[serde(with = "form")]
    process: ProcessType,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: Env,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Desired", rename_all = "snake_case")]
enum DesiredForm {
    Up,
    Replace,
    Drain,
    Down,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "JobStatus")]
struct JobStatusForm {
    #[serde(with = "form")]
    state: JobState,
    since: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum JobStateForm {
    Pending {
        reason: String,
    },
    Assigned,
    Starting,
    Up {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<SocketAddr>,
        #[serde(with = "form")]
        health: Health,
    },
    Stopping,
    Exited {
        #[serde(with = "form")]
        exit: Exit,
    },
    Lost {
        reason: String,
    },
}

impl From<&JobState> for JobStateForm {
    fn from(state: &JobState) -> Self {
        match state.clone() {
            JobState::Pending { reason } => Self::Pending { reason },
            JobState::Assigned => Self::Assigned,
            JobState::Starting => Self::Starting,
            JobState::Up { address, health } => Self::Up { address, health },
            JobState::Stopping => Self::Stopping,
            JobState::Exited(exit) => Self::Exited { exit },
            JobState::Lost { reason } => Self::Lost { reason },
        }
    }
}

impl From<JobStateForm> for JobState {
    fn from(state: JobStateForm) -> Self {
        match state {
            JobStateForm::Pending { reason } => Self::Pending { reason },
            JobStateForm::Assigned => Self::Assigned,
            JobStateForm::Starting => Self::Starting,
            JobStateForm::Up { address, health } => Self::Up { address, health },
            JobStateForm::Stopping => Self::Stopping,
            JobStateForm::Exited { exit } => Self::Exited(exit),
            JobStateForm::Lost { reason } => Self::Lost { reason },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Health", rename_all = "snake_case")]
enum HealthForm {
    Healthy,
    Unhealthy,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ExitForm {
    Code { code: i32 },
    Signal { signal: i32 },
    OutOfMemory,
    OutOfDisk { reason: String },
    NotStarted { reason: String },
}

impl From<&Exit> for ExitForm {
    fn from(exit: &Exit) -> Self {
        match exit.clone() {
            Exit::Code(code) => Self::Code { code },
            Exit::Signal(signal) => Self::Signal { signal },
            Exit::OutOfMemory => Self::OutOfMemory,
            Exit::OutOfDisk { reason } => Self::OutOfDisk { reason },
            Exit::NotStarted { reason } => Self::NotStarted { reason },
        }
    }
}

impl From<ExitForm> for Exit {
    fn from(exit: ExitForm) -> Self {
        match exit {
            ExitForm::Code { code } => Self::Code(code),
            ExitForm::Signal { signal } => Self::Signal(signal),
            ExitForm::OutOfMemory => Self::OutOfMemory,
            ExitForm::OutOfDisk { reason } => Self::OutOfDisk { reason },
            ExitForm::NotStarted { reason } => Self::NotStarted { reason },
        }
    }
}
