use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::noun::{AppId, BuildId};

/// The making of an image from source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// The app.
    pub app: AppId,
    /// Its number within the app, from 1.
    pub number: u64,
    /// The source commit, where there is one.
    #[serde(default)]
    pub commit: Option<String>,
    /// The digest of the source tree.
    pub source: String,
    /// Where it is: `pending`, `assigned`, `running`, `succeeded`, `failed`, `cancelled` or `lost`.
    pub state: String,
    /// Whether nothing follows.
    pub ended: bool,
    /// The step that failed.
    #[serde(default)]
    pub step: Option<String>,
    /// Why it is pending, failed or lost.
    #[serde(default)]
    pub reason: Option<String>,
    /// The digest of the image, once there is one.
    #[serde(default)]
    pub image: Option<String>,
    /// The number of the release that was made of it.
    #[serde(default)]
    pub release: Option<u64>,
    /// The name of its node, once it is placed.
    #[serde(default)]
    pub node: Option<String>,
    /// When it entered its state.
    pub since: Time,
    /// When it was created.
    pub created_at: Time,
    /// The revision that last changed what is intended for it: what `ETag` says and `If-Match` compares.
    pub version: u64,
}

/// What is said of a source tree that is uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewBuild {
    /// The source commit, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}
