use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::ProcessName;
use crate::noun::{AppId, Build, BuildIntent, BuildOutput, BuildState, BuildStatus, NodeId, ProcessType};
use crate::time::Timestamp;
use crate::value::{Digest, Resources};

forms! {
    mirror Build => BuildForm,
    mirror BuildIntent => BuildIntentForm,
    mirror BuildStatus => BuildStatusForm,
    mirror BuildState => BuildStateForm,
    mirror BuildOutput => BuildOutputForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Build")]
struct BuildForm {
    app: AppId,
    number: u64,
    source: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    resources: Resources,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    #[serde(with = "form")]
    desired: BuildIntent,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BuildIntent", rename_all = "snake_case")]
enum BuildIntentForm {
    Finish,
    Cancel,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BuildStatus")]
struct BuildStatusForm {
    #[serde(with = "form")]
    state: BuildState,
    since: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BuildState", tag = "type", rename_all = "snake_case")]
enum BuildStateForm {
    Pending { reason: String },
    Assigned,
    Running,
    Succeeded(#[serde(with = "form")] BuildOutput),
    Failed { step: String, reason: String },
    Cancelled,
    Lost { reason: String },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BuildOutput")]
struct BuildOutputForm {
    image: Digest,
    #[serde(with = "form", default, skip_serializing_if = "BTreeMap::is_empty")]
    processes: BTreeMap<ProcessName, ProcessType>,
}
