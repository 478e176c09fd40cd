use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{AppId, DeploymentId, JobId, NodeId};

/// How many instances of each process type an app wants, and how large they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Formation {
    /// The app.
    pub app: AppId,
    /// Each process type of the release that serves, and each that has a count.
    #[serde(default)]
    pub processes: BTreeMap<String, ProcessScale>,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares; 0 before the first.
    pub version: u64,
}

/// Count and size of the instances of one process type, and where they may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessScale {
    /// How many instances there are to be.
    pub count: u32,
    /// How many are up.
    #[serde(default)]
    pub up: u32,
    /// Thousandths of a processor core that each may use.
    pub cpu_millis: u64,
    /// Bytes of memory that each may use.
    pub memory_bytes: u64,
    /// Bytes of disk that each may use.
    pub disk_bytes: u64,
    /// Processes and threads that each may have.
    pub pids: u64,
    /// Which machines they may be on; left out where any will do.
    #[serde(default, skip_serializing_if = "Placement::is_any")]
    pub placement: Placement,
}

/// Which machines the instances of a process type may be on, and how they are spread over them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// What the labels of the machine must be like, all of it: `LABEL = VALUE`, `LABEL != VALUE` or
    /// `LABEL in VALUE, VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<String>,
    /// The label over whose values instances are kept as equal in number as they can be, such as `zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<String>,
    /// At most so many instances on one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_per_node: Option<u32>,
}

impl Placement {
    /// Whether nothing is asked.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }
}

/// What is to change about a formation. Process types that are left out stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FormationChange {
    /// What is to change about each process type.
    pub processes: BTreeMap<String, ScaleChange>,
}

/// What is to change about the scale of a process type. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleChange {
    /// How many instances there are to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Thousandths of a processor core that each may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Bytes of memory that each may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Bytes of disk that each may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Processes and threads that each may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Which machines they may be on, in place of all that was said about it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
}

/// One instance of a process type, or a `run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The app.
    pub app: AppId,
    /// `web.1` for an instance, `run.` and the last 8 digits of the id for a `run`. During a deployment two
    /// instances of different releases have the same name.
    pub name: String,
    /// Its process type; none for a `run`.
    #[serde(default)]
    pub process: Option<String>,
    /// The number of its release; none if that release is gone.
    #[serde(default)]
    pub release: Option<u64>,
    /// Where it is: `pending`, `assigned`, `starting`, `up`, `stopping`, `exited` or `lost`.
    pub state: String,
    /// Why it is pending or lost, or how it ended.
    #[serde(default)]
    pub reason: Option<String>,
    /// The exit code as a shell would report it, once it has exited.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// What its health check says, while it is up.
    #[serde(default)]
    pub healthy: Option<bool>,
    /// What is intended for it: `up`, `replace`, `drain` or `down`.
    pub desired: String,
    /// Where it serves, if it has a port and is up.
    #[serde(default)]
    pub address: Option<String>,
    /// The name of its node, once it is placed.
    #[serde(default)]
    pub node: Option<String>,
    /// The id of that node.
    #[serde(default)]
    pub node_id: Option<NodeId>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// How many of its predecessors in a row failed.
    pub attempt: u32,
    /// The deployment that started it, if one did.
    #[serde(default)]
    pub deployment: Option<DeploymentId>,
    /// When it entered its state.
    pub since: Time,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed what is intended for it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// Which jobs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobQuery {
    /// Only instances of this process type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Whether those that ended and were replaced are listed too, after the others.
    #[serde(default)]
    pub ended: bool,
    /// Where the page begins: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most entries of the page, from 1 to 200; 50 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which instances are to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restart {
    /// A process type such as `web`, or an instance such as `web.1`; all instances if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// The jobs that a request was about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// The jobs.
    pub jobs: Vec<Job>,
}
