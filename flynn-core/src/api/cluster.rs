use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{NodeId, TeamId};

/// A machine that runs jobs and builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// Whether it is there: `unseen`, `ready`, `suspect` or `lost`.
    pub liveness: String,
    /// When its agent was last heard of, since the server started.
    #[serde(default)]
    pub seen_at: Option<Time>,
    /// Whether it takes work: `open`, `cordoned` or `draining`.
    pub scheduling: String,
    /// What placement rules can ask for.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where other machines reach it.
    #[serde(default)]
    pub address: Option<String>,
    /// The version of its agent.
    pub agent_version: String,
    /// How many jobs that have not ended it has.
    pub jobs: u32,
    /// What it has in all.
    pub capacity: Amounts,
    /// What is kept back for the machine itself.
    pub reserved: Amounts,
    /// What its jobs and builds ask for.
    pub used: Amounts,
    /// When it was added.
    pub created_at: Time,
    /// The revision that last changed what is intended for it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// Amounts of what a machine has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amounts {
    /// Thousandths of a processor core.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk.
    pub disk_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// What is to change about a node. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeChange {
    /// The next value of each label; `null` takes the label away.
    #[serde(default)]
    pub labels: BTreeMap<String, Option<String>>,
}

/// The most a team may use, and what it uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// The team.
    pub team: TeamId,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The limits that were set for this team. What is `null` is as for every team.
    pub limits: Limits,
    /// What it goes by: its own limits, and of the rest those for every team. What is `null` is not limited; one
    /// instance may then be as large as the largest node.
    #[serde(default)]
    pub effective: Limits,
    /// What the team uses.
    pub used: Used,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares; 0 if there is none.
    pub version: u64,
}

/// The limits for every team, where its own quota says nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefaultQuota {
    /// The limits. What is `null` is not limited.
    pub limits: Limits,
    /// The revision that last changed it: what `ETag` says and `If-Match` compares; 0 if there is none.
    pub version: u64,
}

/// Limits of teams. What is left out or `null` is not set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Apps.
    #[serde(default)]
    pub apps: Option<u64>,
    /// Routes.
    #[serde(default)]
    pub routes: Option<u64>,
    /// Instances asked for, one-off jobs and builds included.
    #[serde(default)]
    pub instances: Option<u64>,
    /// Thousandths of a core, summed over those instances.
    #[serde(default)]
    pub cpu_millis: Option<u64>,
    /// Bytes of memory, summed over those instances.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Bytes of volumes.
    #[serde(default)]
    pub volume_bytes: Option<u64>,
    /// Thousandths of a core of one instance.
    #[serde(default)]
    pub instance_cpu_millis: Option<u64>,
    /// Bytes of memory of one instance.
    #[serde(default)]
    pub instance_memory_bytes: Option<u64>,
    /// Bytes of disk of one instance.
    #[serde(default)]
    pub instance_disk_bytes: Option<u64>,
    /// Processes and threads of one instance.
    #[serde(default)]
    pub instance_pids: Option<u64>,
}

/// What a team uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Used {
    /// Apps.
    pub apps: u64,
    /// Routes.
    pub routes: u64,
    /// Instances asked for, one-off jobs and builds included.
    pub instances: u64,
    /// Thousandths of a core, summed over those instances.
    pub cpu_millis: u64,
    /// Bytes of memory, summed over those instances.
    pub memory_bytes: u64,
    /// Bytes of volumes.
    pub volume_bytes: u64,
}
