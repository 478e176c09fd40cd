use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use super::millis;
use crate::noun::{
    AppId, DeployIntent, DeployPolicy, Deployment, DeploymentState, DeploymentStatus, OnFailure, ReleaseId, Strategy,
};
use crate::time::Timestamp;

forms! {
    mirror Deployment => DeploymentForm,
    mirror Strategy => StrategyForm,
    mirror DeployPolicy => DeployPolicyForm,
    mirror OnFailure => OnFailureForm,
    mirror DeployIntent => DeployIntentForm,
    mirror DeploymentStatus => DeploymentStatusForm,
    mirror DeploymentState => DeploymentStateForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Deployment")]
struct DeploymentForm {
    app: AppId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<ReleaseId>,
    to: ReleaseId,
    #[serde(with = "form")]
    strategy: Strategy,
    #[serde(with = "form")]
    policy: DeployPolicy,
    #[serde(with = "form")]
    desired: DeployIntent,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Strategy", tag = "type", rename_all = "snake_case")]
enum StrategyForm {
    AllAtOnce,
    OneByOne,
    External { driver: String },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeployPolicy")]
struct DeployPolicyForm {
    #[serde(rename = "start_deadline_ms", with = "millis")]
    start_deadline: Duration,
    #[serde(rename = "progress_deadline_ms", with = "millis")]
    progress_deadline: Duration,
    #[serde(with = "form")]
    on_failure: OnFailure,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OnFailure", rename_all = "snake_case")]
enum OnFailureForm {
    RollBack,
    Pause,
    Keep,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeployIntent", rename_all = "snake_case")]
enum DeployIntentForm {
    Proceed,
    Pause,
    Abort,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeploymentStatus")]
struct DeploymentStatusForm {
    #[serde(with = "form")]
    state: DeploymentState,
    step: u32,
    weight: u8,
    progressed_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeploymentState", tag = "type", rename_all = "snake_case")]
enum DeploymentStateForm {
    Pending,
    Running,
    Paused { reason: String },
    RollingBack { reason: String },
    Done,
    Failed { reason: String },
}
