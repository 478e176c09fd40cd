use serde::{Deserialize, Serialize};

use super::form::forms;
use crate::noun::{Quota, TeamId};

forms! {
    mirror Quota => QuotaForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Quota")]
struct QuotaForm {
    team: TeamId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    apps: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    routes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instances: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    volume_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_cpu_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_disk_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_pids: Option<u64>,
}
