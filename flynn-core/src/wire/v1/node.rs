use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::{LabelKey, LabelValue, NodeName};
use crate::noun::{Liveness, Node, NodeStatus, Scheduling};
use crate::value::Resources;

forms! {
    mirror Node => NodeForm,
    mirror Scheduling => SchedulingForm,
    mirror NodeStatus => NodeStatusForm,
    mirror Liveness => LivenessForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Node")]
struct NodeForm {
    name: NodeName,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<LabelKey, LabelValue>,
    reserved: Resources,
    #[serde(with = "form")]
    scheduling: Scheduling,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Scheduling", rename_all = "snake_case")]
enum SchedulingForm {
    Open,
    Cordoned,
    Draining,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NodeStatus")]
struct NodeStatusForm {
    #[serde(with = "form")]
    liveness: Liveness,
    capacity: Resources,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    version: String,
    boot: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Liveness", rename_all = "snake_case")]
enum LivenessForm {
    Unseen,
    Ready,
    Suspect,
    Lost,
}
