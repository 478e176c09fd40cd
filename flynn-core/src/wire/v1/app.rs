use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::AppName;
use crate::noun::{App, AppLifecycle, AppStatus, DeployMode, ReleaseId, Traffic};
use crate::value::Env;

forms! {
    mirror App => AppForm,
    mirror AppLifecycle => AppLifecycleForm,
    mirror Traffic => TrafficForm,
    mirror AppStatus => AppStatusForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "App")]
struct AppForm {
    name: AppName,
    #[serde(with = "form")]
    lifecycle: AppLifecycle,
    #[serde(with = "form")]
    traffic: Traffic,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: Env,
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    deploys: Option<DeployMode>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AppLifecycle", rename_all = "snake_case")]
enum AppLifecycleForm {
    Active,
    Destroying,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Traffic", rename_all = "snake_case")]
enum TrafficForm {
    Serve,
    Maintenance,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AppStatus")]
struct AppStatusForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseId>,
}
