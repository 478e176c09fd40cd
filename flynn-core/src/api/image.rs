use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is said of an image that is uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewImage {
    /// What the caller calls it, for the release's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which image of the layout is meant; the only one if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}
