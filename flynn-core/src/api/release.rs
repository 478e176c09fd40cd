use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{AppId, DeploymentId, ReleaseId};

/// An immutable version of an app: `v1`, `v2` …
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// Its id.
    pub id: ReleaseId,
    /// The app.
    pub app: AppId,
    /// Its number within the app, from 1.
    pub number: u64,
    /// Whether it is the one that serves.
    pub current: bool,
    /// The digest of its image.
    pub image: String,
    /// What made it: `build`, `config`, `rollback` or `image`.
    pub cause: String,
    /// Why it exists, in words.
    pub description: String,
    /// The source commit, where there is one.
    #[serde(default)]
    pub commit: Option<String>,
    /// What can be run.
    #[serde(default)]
    pub processes: BTreeMap<String, ProcessType>,
    /// The names of its environment variables.
    #[serde(default)]
    pub config: Vec<String>,
    /// When it was created.
    pub created_at: Time,
    /// The revision that created it: what `ETag` says.
    pub version: u64,
}

/// One kind of process of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessType {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The port it listens on, for those that serve.
    #[serde(default)]
    pub port: Option<u16>,
    /// How its health is measured: `tcp`, or `http` and a path; none if it is not.
    #[serde(default)]
    pub check: Option<String>,
    /// The time between TERM and KILL in milliseconds.
    pub stop_timeout_ms: u64,
}

/// Where to go back to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rollback {
    /// The number of the release to go back to; the one before the one that serves if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<u64>,
}

/// A release that was made, and the deployment that brings it about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Released {
    /// The release.
    pub release: Release,
    /// The deployment.
    pub deployment: Deployment,
}

/// The way of an app from one release to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// The app.
    pub app: AppId,
    /// The number of the release that served before; none for the first deployment.
    #[serde(default)]
    pub from: Option<u64>,
    /// The number of the release that is to serve.
    #[serde(default)]
    pub to: Option<u64>,
    /// How instances are replaced: `all_at_once`, `one_by_one`, `one_down_one_up`, `in_batches` or
    /// `external`.
    pub strategy: String,
    /// What is intended for it: `proceed`, `pause` or `abort`.
    pub desired: String,
    /// Where it is: `pending`, `running`, `paused`, `rolling_back`, `done` or `failed`.
    pub state: String,
    /// Why it is paused, rolling back or failed.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether nothing follows.
    pub ended: bool,
    /// The step of its strategy, counted from 0.
    pub step: u32,
    /// The share of requests meant for the release that is to serve, in percent.
    pub weight_percent: u8,
    /// When it last made progress.
    #[serde(default)]
    pub progressed_at: Option<Time>,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed what is intended for it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}
