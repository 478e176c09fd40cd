use std::collections::BTreeMap;

use serde::Deserialize;

use super::evidence::Evidence;
use super::{Undetected, VersionRequest};

const PACKAGE: &str = "package.json";

/// What a builder has to know of a Node.js app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// What installs its packages.
    pub packages: NodePackages,
    /// The version that it asks for.
    pub version: Option<VersionRequest>,
    /// Whether `package.json` has a script `build`, to be run after the installation.
    pub builds: bool,
}

/// What installs the packages of a Node.js app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodePackages {
    /// npm, from its lock file.
    NpmLocked,
    /// npm, with nothing that holds the versions.
    NpmUnlocked,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    engines: BTreeMap<String, String>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
}

/// The plan, and the command that starts the app without a `Procfile`.
pub(super) fn plan(evidence: &Evidence, notes: &mut Vec<String>) -> Result<(NodePlan, Option<String>), Undetected> {
    let invalid = |problem: String| Undetected::invalid(PACKAGE, problem);
    let text = evidence.text(PACKAGE).map_err(invalid)?.unwrap_or_default();
    let package: Package = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let start = match package.scripts.contains_key("start") {
        true => Some("npm start".to_owned()),
        // What npm itself starts where nothing is said.
        false => evidence.has("server.js").then(|| "node server.js".to_owned()),
    };
    let builds = package.scripts.contains_key("build");
    let plan = NodePlan { packages: packages(evidence, notes)?, version: version(evidence, &package, notes)?, builds };
    Ok((plan, start))
}

fn packages(evidence: &Evidence, notes: &mut Vec<String>) -> Result<NodePackages, Undetected> {
    let npm = ["npm-shrinkwrap.json", "package-lock.json"].into_iter().find(|file| evidence.has(file));
    let other = ["pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"].into_iter().find(|file| evidence.has(file));
    match (npm, other) {
        (Some(npm), Some(other)) => {
            Err(Undetected::invalid(other, format!("{npm} is there as well: remove one of the two")))
        }
        (None, Some(other)) => {
            let problem = "only npm is supported: run `npm install` and commit package-lock.json in its place";
            Err(Undetected::invalid(other, problem))
        }
        (Some(_), None) => Ok(NodePackages::NpmLocked),
        (None, None) => {
            notes
                .push("there is no package-lock.json, so that each build may install other versions: commit it".into());
            Ok(NodePackages::NpmUnlocked)
        }
    }
}

/// `engines.node` counts before `.nvmrc` and `.node-version`.
fn version(
    evidence: &Evidence,
    package: &Package,
    notes: &mut Vec<String>,
) -> Result<Option<VersionRequest>, Undetected> {
    let files = [".nvmrc", ".node-version"];
    if let Some(text) = package.engines.get("node") {
        if let Some(file) = files.iter().find(|file| evidence.has(file)) {
            notes.push(format!("engines.node of package.json is used, and {file} is not"));
        }
        return Ok(Some(VersionRequest { text: text.trim().to_owned(), file: PACKAGE }));
    }
    for file in files {
        let Some(text) = evidence.text(file).map_err(|problem| Undetected::invalid(file, problem))? else {
            continue;
        };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let is_word = |line: &&str| line.bytes().all(|b| b.is_ascii_alphanumeric() || b"./*-".contains(&b));
        return match (lines.next().filter(is_word), lines.next()) {
            (Some(line), None) => Ok(Some(VersionRequest { text: line.to_owned(), file })),
            _ => Err(Undetected::invalid(file, "expected one line such as `22` or `v22.11.0`")),
        };
    }
    Ok(None)
}
