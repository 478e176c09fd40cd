use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use super::millis;
use crate::noun::{
    AppId, DeployIntent, DeployMode, DeployPolicy, Deployment, DeploymentState, DeploymentStatus, OnFailure, ReleaseId,
    Share, Strategy,
};
use crate::time::Timestamp;

forms! {
    mirror Deployment => DeploymentForm,
    mirror Strategy => StrategyForm,
    mirror DeployMode => DeployModeForm,
    convert Share => ShareForm,
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
    OneDownOneUp,
    InBatches {
        #[serde(with = "form")]
        size: Share,
    },
    External {
        driver: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeployMode")]
struct DeployModeForm {
    #[serde(with = "form")]
    strategy: Strategy,
    #[serde(with = "form")]
    policy: DeployPolicy,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ShareForm {
    Count { count: u32 },
    Percent { percent: u8 },
}

impl From<&Share> for ShareForm {
    fn from(share: &Share) -> Self {
        match *share {
            Share::Count(count) => Self::Count { count },
            Share::Percent(percent) => Self::Percent { percent },
        }
    }
}

impl From<ShareForm> for Share {
    fn from(form: ShareForm) -> Self {
        match form {
            ShareForm::Count { count } => Self::Count(count),
            ShareForm::Percent { percent } => Self::Percent(percent),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DeployPolicy")]
struct DeployPolicyForm {
    #[serde(rename = "start_deadline_ms", with = "millis")]
    start_deadline: Duration,
    #[serde(rename = "progress_deadline_ms", with = "millis")]
    progress_deadline: Duration,
    #[serde(rename = "healthy_for_ms", with = "millis", default, skip_serializing_if = "Duration::is_zero")]
    healthy_for: Duration,
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    max_extra: Option<Share>,
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    max_missing: Option<Share>,
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    prepared: bool,
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
