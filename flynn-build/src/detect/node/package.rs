use std::collections::BTreeMap;

use serde::Deserialize;

use super::PACKAGE;
use crate::detect::Undetected;
use crate::detect::evidence::Evidence;

/// What `package.json` says that decides something.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Package {
    pub(super) engines: BTreeMap<String, String>,
    pub(super) scripts: BTreeMap<String, String>,
    pub(super) main: Option<String>,
    pub(super) package_manager: Option<String>,
    dependencies: BTreeMap<String, serde_json::Value>,
    dev_dependencies: BTreeMap<String, serde_json::Value>,
}

impl Package {
    pub(super) fn of(evidence: &Evidence) -> Result<Self, Undetected> {
        let invalid = |problem: String| Undetected::invalid(PACKAGE, problem);
        let text = evidence.text(PACKAGE).map_err(invalid)?.unwrap_or_default();
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))
    }

    /// Whether it uses another package, be it only to build.
    pub(super) fn uses(&self, package: &str) -> bool {
        self.dependencies.contains_key(package) || self.dev_dependencies.contains_key(package)
    }
}
