use serde::Deserialize;

use crate::detect::Undetected;
use crate::detect::evidence::Evidence;

/// Where the packages of a Python app are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonPackages {
    /// In `pyproject.toml`, with `uv.lock` beside it.
    Uv,
    /// In `pyproject.toml`, with `poetry.lock` beside it.
    Poetry,
    /// In `Pipfile`, with `Pipfile.lock` beside it.
    Pipenv,
    /// In `requirements.txt`.
    Requirements,
    /// In `pyproject.toml`, with nothing that holds the versions.
    Project,
    /// In `setup.py`, with nothing that holds the versions.
    Setup,
}

const PROJECT: &str = "pyproject.toml";

/// The files of which one is used, the one that counts first.
const FILES: [(&str, PythonPackages); 6] = [
    ("uv.lock", PythonPackages::Uv),
    ("poetry.lock", PythonPackages::Poetry),
    ("Pipfile.lock", PythonPackages::Pipenv),
    ("requirements.txt", PythonPackages::Requirements),
    (PROJECT, PythonPackages::Project),
    ("setup.py", PythonPackages::Setup),
];

#[derive(Default, Deserialize)]
struct PyProject {
    project: Option<toml::Table>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Default, Deserialize)]
struct Tool {
    poetry: Option<toml::Table>,
}

pub(super) fn packages(evidence: &Evidence, notes: &mut Vec<String>) -> Result<PythonPackages, Undetected> {
    let project = project(evidence)?;
    // Many have one for nothing but the settings of tools.
    let is_project = project.as_ref().is_some_and(|it| it.project.is_some() || it.tool.poetry.is_some());
    let lists = |file: &str| evidence.has(file) && (file != PROJECT || is_project || !evidence.has("setup.py"));
    let mut found = FILES.into_iter().filter(|(file, _)| lists(file));
    let Some((file, packages)) = found.next() else {
        let problem = "there is no Pipfile.lock beside it: run `pipenv lock` and commit the file";
        return Err(Undetected::invalid("Pipfile", problem));
    };
    let beside = match packages {
        PythonPackages::Uv | PythonPackages::Poetry => PROJECT,
        PythonPackages::Pipenv => "Pipfile",
        _ => file,
    };
    if !evidence.has(beside) {
        return Err(Undetected::invalid(file, format!("there is no {beside} beside it")));
    }
    if evidence.has_conflict(file) {
        let problem = "it has the marks of a merge that was not finished: resolve it, or make it again";
        return Err(Undetected::invalid(file, problem));
    }
    let unused: Vec<_> = found.map(|(file, _)| file).filter(|file| ![PROJECT, "setup.py"].contains(file)).collect();
    if !unused.is_empty() {
        notes.push(format!("{file} is used, and {} is not", unused.join(", ")));
    }
    match packages {
        PythonPackages::Project => {
            let project = project.unwrap_or_default();
            if project.tool.poetry.is_some() && project.project.is_none() {
                let problem = "there is no poetry.lock beside it: run `poetry lock` and commit the file";
                return Err(Undetected::invalid(PROJECT, problem));
            }
            if project.project.is_none() {
                let problem = "there is no table `[project]` in it that lists packages, and no requirements.txt \
                               beside it: add one of them";
                return Err(Undetected::invalid(PROJECT, problem));
            }
            notes.push(
                "there is no uv.lock, so that each build may install other versions: run `uv lock` and commit it"
                    .into(),
            );
        }
        PythonPackages::Setup => {
            notes.push("setup.py holds no versions, so that each build may install other ones".into());
        }
        _ => {}
    }
    Ok(packages)
}

fn project(evidence: &Evidence) -> Result<Option<PyProject>, Undetected> {
    let Some(text) = evidence.text(PROJECT).map_err(|problem| Undetected::invalid(PROJECT, problem))? else {
        return Ok(None);
    };
    toml::from_str(text).map(Some).map_err(|error| Undetected::invalid(PROJECT, error.to_string()))
}
