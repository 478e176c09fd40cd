use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Release, Time};
use crate::noun::{AppId, DeploymentId, TeamId};

/// Something a team deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct App {
    /// Its id, which stays when it is renamed.
    pub id: AppId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// The name of the team that owns it.
    pub team: String,
    /// The id of that team.
    pub team_id: TeamId,
    /// `active`, or `destroying` while it is taken apart.
    pub state: String,
    /// Whether the router answers with the maintenance page.
    pub maintenance: bool,
    /// The number of the release that serves; none before the first deployment is done.
    #[serde(default)]
    pub release: Option<u64>,
    /// The hosts that reach it over HTTP, the one it was created with first.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Where a browser finds it; none if no host of it is a whole name, or if the server does not know where the
    /// router listens.
    #[serde(default)]
    pub url: Option<String>,
    /// How its deployments go; none if they go as is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploys: Option<DeployMode>,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed what is intended for it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// How the deployments of an app go. What is left out is as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeployMode {
    /// How instances are replaced: `one_by_one`, `one_down_one_up`, `in_batches`, `all_at_once`, or `usual`.
    pub strategy: String,
    /// How many at a time, for `in_batches`: a number such as `2`, or a share of those that are wanted such as `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// How many instances there may be beside the wanted number, likewise; not for `all_at_once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_extra: Option<String>,
    /// How many of the wanted number may be missing, likewise; not for `all_at_once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_missing: Option<String>,
    /// How many milliseconds an instance has to be healthy without a break before it counts as healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_for_ms: Option<u64>,
    /// Within how many milliseconds an instance must get a machine, and then be up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_deadline_ms: Option<u64>,
    /// Within how many milliseconds of the last one another instance must come up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_deadline_ms: Option<u64>,
    /// What follows a failure: `roll_back`, `pause` or `keep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
}

/// Which apps are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppQuery {
    /// Only those of the team with this name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Where the page begins: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The most entries of the page, from 1 to 200; 50 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A wish for an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewApp {
    /// Its name; one is made up if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name or id of the team that is to own it; may be left out by who can create apps in only one team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// What is to change about an app. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppChange {
    /// Its next name. The default host `NAME.DOMAIN` follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the router answers with the maintenance page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<bool>,
    /// How its deployments go from the next one on, in place of all that was said about it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploys: Option<DeployMode>,
}

/// The environment variables that an app is configured with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// The value of each variable; `null` for who may see that there is one, but not its value.
    #[serde(default)]
    pub values: BTreeMap<String, Option<String>>,
    /// The revision that last changed the app: what `ETag` says and `If-Match` compares.
    #[serde(default)]
    pub version: u64,
}

/// What is to change about a configuration. Variables that are left out stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange {
    /// The next value of each variable; `null` takes the variable away.
    pub values: BTreeMap<String, Option<String>>,
}

/// What came of a change of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChanged {
    /// The configuration as it is from here on.
    pub config: Config,
    /// The release that carries it; none if the app has no release yet, or if nothing changed.
    #[serde(default)]
    pub release: Option<Release>,
    /// The deployment that brings that release about.
    #[serde(default)]
    pub deployment: Option<DeploymentId>,
}
