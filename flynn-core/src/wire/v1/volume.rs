use serde::{Deserialize, Serialize};

use super::form::forms;
use crate::name::{PathPrefix, ProcessName, VolumeName};
use crate::noun::{AppId, NodeId, Volume, VolumeStatus};

forms! {
    mirror Volume => VolumeForm,
    mirror VolumeStatus => VolumeStatusForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Volume")]
struct VolumeForm {
    app: AppId,
    name: VolumeName,
    process: ProcessName,
    path: PathPrefix,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
}

/// A status is an object, so that it can get more fields: the word is in its `state`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "VolumeStatus", tag = "state", rename_all = "snake_case")]
enum VolumeStatusForm {
    Pending,
    Ready,
}
