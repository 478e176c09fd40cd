use serde::Deserialize;

use super::evidence::Evidence;
use super::{Undetected, VersionRequest};

/// What a builder has to know of a Python app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonPlan {
    /// Where its packages are listed.
    pub packages: PythonPackages,
    /// The version that it asks for.
    pub version: Option<VersionRequest>,
}

/// Where the packages of a Python app are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonPackages {
    /// In `requirements.txt`.
    Requirements,
    /// In `pyproject.toml`, with `uv.lock` beside it.
    Uv,
}

#[derive(Deserialize)]
struct PyProject {
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(rename = "requires-python")]
    requires_python: Option<String>,
}

pub(super) fn plan(evidence: &Evidence, notes: &mut Vec<String>) -> Result<PythonPlan, Undetected> {
    let has = |file| evidence.has(file);
    let packages = match (has("requirements.txt"), has("pyproject.toml"), has("uv.lock")) {
        (_, false, true) => return Err(Undetected::invalid("uv.lock", "there is no pyproject.toml beside it")),
        (requirements, true, true) => {
            if requirements {
                notes.push("uv.lock is used, and requirements.txt is not".into());
            }
            PythonPackages::Uv
        }
        (true, _, false) => PythonPackages::Requirements,
        (false, _, false) => {
            let problem = match (has("poetry.lock"), has("Pipfile")) {
                (true, _) => "poetry.lock is not supported: run `uv lock`, or `poetry export` to requirements.txt",
                (_, true) => "Pipfile is not supported: run `pipenv requirements` to requirements.txt",
                _ => "there is no uv.lock beside it: run `uv lock` and commit the file",
            };
            return Err(Undetected::invalid("pyproject.toml", problem));
        }
    };
    Ok(PythonPlan { packages, version: version(evidence, notes)? })
}

/// `.python-version` counts before `runtime.txt`, and both before what a package merely requires.
fn version(evidence: &Evidence, notes: &mut Vec<String>) -> Result<Option<VersionRequest>, Undetected> {
    const OWN: &str = ".python-version";
    const RUNTIME: &str = "runtime.txt";
    const PROJECT: &str = "pyproject.toml";
    let text = |file| evidence.text(file).map_err(|problem| Undetected::invalid(file, problem));
    if let Some(text) = text(OWN)? {
        if evidence.has(RUNTIME) {
            notes.push(format!("{OWN} is used, and {RUNTIME} is not"));
        }
        return numbers(OWN, text, "").map(Some);
    }
    if let Some(text) = text(RUNTIME)? {
        return numbers(RUNTIME, text, "python-").map(Some);
    }
    let Some(text) = text(PROJECT)? else {
        return Ok(None);
    };
    let project: PyProject = toml::from_str(text).map_err(|error| Undetected::invalid(PROJECT, error.to_string()))?;
    let required = project.project.and_then(|project| project.requires_python);
    Ok(required.map(|text| VersionRequest { text, file: PROJECT }))
}

/// Reads `PREFIX3.12` or `PREFIX3.12.4` from the one line that says something.
fn numbers(file: &'static str, text: &str, prefix: &str) -> Result<VersionRequest, Undetected> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let wrong = || Undetected::invalid(file, format!("expected one line such as `{prefix}3.12` or `{prefix}3.12.4`"));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(wrong());
    };
    let version = line.strip_prefix(prefix).ok_or_else(wrong)?;
    let parts: Vec<_> = version.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.len() < 5 && part.bytes().all(|b| b.is_ascii_digit());
    if !(2..=3).contains(&parts.len()) || !parts.iter().all(is_number) {
        return Err(wrong());
    }
    Ok(VersionRequest { text: version.to_owned(), file })
}
