use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use super::millis;
use crate::name::{PathPrefix, ProcessName};
use crate::noun::{AppId, BuildId, HealthCheck, Probe, ProcessType, Release, ReleaseCause};
use crate::value::{Digest, Env};

forms! {
    mirror Release => ReleaseForm,
    convert ReleaseCause => ReleaseCauseForm,
    mirror ProcessType => ProcessTypeForm,
    mirror HealthCheck => HealthCheckForm,
    mirror Probe => ProbeForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Release")]
struct ReleaseForm {
    app: AppId,
    number: u64,
    image: Digest,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: Env,
    #[serde(with = "form", default, skip_serializing_if = "BTreeMap::is_empty")]
    processes: BTreeMap<ProcessName, ProcessType>,
    #[serde(with = "form")]
    cause: ReleaseCause,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ReleaseCauseForm {
    Build { build: BuildId },
    Config { keys: String },
    Rollback { number: u64 },
    Image { image: String },
}

impl From<&ReleaseCause> for ReleaseCauseForm {
    fn from(cause: &ReleaseCause) -> Self {
        match cause.clone() {
            ReleaseCause::Build(build) => Self::Build { build },
            ReleaseCause::Config(keys) => Self::Config { keys },
            ReleaseCause::Rollback(number) => Self::Rollback { number },
            ReleaseCause::Image(image) => Self::Image { image },
        }
    }
}

impl From<ReleaseCauseForm> for ReleaseCause {
    fn from(cause: ReleaseCauseForm) -> Self {
        match cause {
            ReleaseCauseForm::Build { build } => Self::Build(build),
            ReleaseCauseForm::Config { keys } => Self::Config(keys),
            ReleaseCauseForm::Rollback { number } => Self::Rollback(number),
            ReleaseCauseForm::Image { image } => Self::Image(image),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProcessType")]
struct ProcessTypeForm {
    command: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    check: Option<HealthCheck>,
    #[serde(rename = "stop_timeout_ms", with = "millis")]
    stop_timeout: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "HealthCheck")]
struct HealthCheckForm {
    #[serde(with = "form")]
    probe: Probe,
    #[serde(rename = "interval_ms", with = "millis")]
    interval: Duration,
    #[serde(rename = "timeout_ms", with = "millis")]
    timeout: Duration,
    threshold: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Probe", tag = "type", rename_all = "snake_case")]
enum ProbeForm {
    Tcp,
    Http { path: PathPrefix },
}
