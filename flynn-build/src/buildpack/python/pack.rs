use std::collections::BTreeMap;
use std::io::Read;

use async_trait::async_trait;
use flynn_core::name::ProcessName;

use super::inputs::{Inputs, inputs};
use super::install::{self, Sources};
use super::{ENVIRONMENT, pipenv, serve, statics, uv, version};
use crate::builder::BuildError;
use crate::buildpack::{Buildpack, Built, Context};
use crate::detect::{Evidence, Language, Plan, PythonPackages, PythonPlan, Undetected, detect};
use crate::image::process_types;
use crate::source::{Entry, SourceTree};

const READ: &str = "read requirements";
const SERVE: &str = "choose a server";
const CHOOSE: &str = "choose Python";
/// A larger file of requirements is taken for something else.
const MOST_BYTES: u64 = 16 << 20;

/// Python apps with a list of packages of uv, Poetry, Pipenv or pip, or with a `pyproject.toml` or `setup.py` alone.
///
/// Packages are installed by uv into a virtual environment on the base image's own Python, and compiled. That layer
/// is reused for as long as the list of packages, base image and uv are the same, which takes no sandbox. If the tree
/// is a package itself, or names one of its folders as a requirement, then any change of the tree installs again.
/// An app without a `Procfile` is served by what its packages have for it. The static files of a site of Django are
/// collected.
///
/// Not here: other versions of Python; Conda; a mirror for locks of projects that are packages themselves, which are
/// read from the registry that the lock names.
#[derive(Debug, Clone, Copy, Default)]
pub struct PythonPack;

#[async_trait]
impl Buildpack for PythonPack {
    fn id(&self) -> &'static str {
        "flynn/python"
    }

    fn version(&self) -> String {
        format!("{} with uv {}", install::VERSION, uv::VERSION)
    }

    fn detect(&self, evidence: &Evidence) -> Result<Option<Plan>, Undetected> {
        detect(evidence).map(|plan| Some(plan).filter(|plan| matches!(plan.language, Language::Python(_))))
    }

    async fn build(&self, context: &Context<'_>) -> Result<Built, BuildError> {
        let Language::Python(python) = &context.plan.language else {
            return Err(BuildError::unavailable(READ, "the plan is for another language"));
        };
        judge_version(context, python)?;
        context.log.begin(READ);
        let sources = read_sources(python.packages, context.source).await?;
        let (layer, known) = install::layer(context, python, &sources).await?;
        if known {
            context.log.say("The requirements are those of an earlier build: its packages are used again");
        }
        let mut built = Built { below: vec![layer], ..Built::default() };
        let is_unserved = context.plan.processes.is_empty();
        if python.manages || is_unserved {
            let programs = install::programs(context, layer).await?;
            let has = |program: &str| programs.iter().any(|name| name == program);
            if is_unserved {
                built.processes = Some(process_types(&served(context, python, &has)?));
            }
            if python.manages && has("django-admin") {
                built.above.push(statics::layer(context, layer).await?);
            }
        }
        built.path = vec![format!("{ENVIRONMENT}/bin")];
        let env = [("PYTHONUNBUFFERED", "1"), ("VIRTUAL_ENV", ENVIRONMENT), ("LANG", "C.UTF-8")];
        built.env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Ok(built)
    }
}

/// Says if the app gets another version than it asks for, and ends the build if it rules out what there is.
fn judge_version(context: &Context<'_>, python: &PythonPlan) -> Result<(), BuildError> {
    let offered = context.build_base.versions.get("python").map(String::as_str).unwrap_or_default();
    let is_list = python.packages == PythonPackages::Requirements;
    let note = version::judge(python.version.as_ref(), offered, !is_list);
    let note = note.map_err(|problem| BuildError::failed(CHOOSE, problem))?;
    note.iter().for_each(|note| context.log.note(note));
    Ok(())
}

/// The command of `web`, by what was installed.
fn served(
    context: &Context<'_>,
    python: &PythonPlan,
    has: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<ProcessName, String>, BuildError> {
    context.log.begin(SERVE);
    let Some(serve) = &python.serve else {
        return Ok(BTreeMap::new());
    };
    let (command, note) = serve::command(serve, has).map_err(|problem| BuildError::failed(SERVE, problem))?;
    note.iter().for_each(|note| context.log.note(note));
    context.log.say(format_args!("There is no Procfile: web is `{}`", command.trim_start_matches("exec ")));
    let web = ProcessName::new("web").map_err(|error| BuildError::unavailable(SERVE, error))?;
    Ok(BTreeMap::from([(web, command)]))
}

async fn read_sources(packages: PythonPackages, source: &SourceTree) -> Result<Sources, BuildError> {
    let source = source.clone();
    let read = tokio::task::spawn_blocking(move || {
        let read = |path: &str| read_file(&source, path);
        if packages != PythonPackages::Pipenv {
            return Ok(Sources { inputs: inputs(packages, &read), locked: None });
        }
        let file = |path| read(path).unwrap_or_default();
        let locked = pipenv::locked(&file("Pipfile"), &file("Pipfile.lock"))?;
        let inputs = if locked.is_local { Inputs::Tree } else { inputs(packages, &read) };
        Ok(Sources { inputs, locked: Some(locked.requirements) })
    })
    .await;
    read.map_err(|error| BuildError::unavailable(READ, error))?
        .map_err(|problem: String| BuildError::failed(READ, problem))
}

fn read_file(source: &SourceTree, path: &str) -> Option<Vec<u8>> {
    let Some(Entry::File { content, .. }) = source.get(path) else {
        return None;
    };
    if content.bytes() > MOST_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    source.open(*content).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
