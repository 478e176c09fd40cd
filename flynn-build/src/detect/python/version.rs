use serde::Deserialize;

use super::PythonPackages;
use crate::detect::evidence::Evidence;
use crate::detect::{Undetected, VersionRequest};

const OWN: &str = ".python-version";
const RUNTIME: &str = "runtime.txt";
const PROJECT: &str = "pyproject.toml";
const PIPFILE: &str = "Pipfile";

#[derive(Default, Deserialize)]
struct PyProject {
    project: Option<Project>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Default, Deserialize)]
struct Project {
    #[serde(rename = "requires-python")]
    requires_python: Option<String>,
}

#[derive(Default, Deserialize)]
struct Tool {
    poetry: Option<Poetry>,
}

#[derive(Deserialize)]
struct Poetry {
    #[serde(default)]
    dependencies: toml::Table,
}

#[derive(Default, Deserialize)]
struct Pipfile {
    #[serde(default)]
    requires: Requires,
}

#[derive(Default, Deserialize)]
struct Requires {
    python_version: Option<String>,
    python_full_version: Option<String>,
}

/// `.python-version` counts before `runtime.txt`, and both before what a list of packages requires.
pub(super) fn version(
    evidence: &Evidence,
    packages: PythonPackages,
    notes: &mut Vec<String>,
) -> Result<Option<VersionRequest>, Undetected> {
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
    if packages == PythonPackages::Pipenv {
        let pipfile = text(PIPFILE)?.unwrap_or_default();
        let pipfile: Pipfile =
            toml::from_str(pipfile).map_err(|error| Undetected::invalid(PIPFILE, error.to_string()))?;
        let asked = pipfile.requires.python_full_version.or(pipfile.requires.python_version);
        // A star asks for nothing.
        return Ok(asked.filter(|text| text != "*").map(|text| VersionRequest { text, file: PIPFILE }));
    }
    let project = text(PROJECT)?.unwrap_or_default();
    let project: PyProject =
        toml::from_str(project).map_err(|error| Undetected::invalid(PROJECT, error.to_string()))?;
    let required = project.project.and_then(|project| project.requires_python);
    let of_poetry = || {
        let python = project.tool.poetry.as_ref()?.dependencies.get("python")?;
        python.as_str().map(str::to_owned)
    };
    Ok(required.or_else(of_poetry).map(|text| VersionRequest { text, file: PROJECT }))
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
