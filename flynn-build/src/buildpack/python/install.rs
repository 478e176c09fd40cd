//! From lists of packages to the layer with them.

use std::path::PathBuf;

use flynn_core::value::Digest;

use super::inputs::Inputs;
use super::{ENVIRONMENT, poetry, uv};
use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::detect::{PythonPackages, PythonPlan};
use crate::image::layer_file;
use crate::keys::Key;
use crate::sandbox::Step;

/// Changes whenever the same input leads to another layer.
pub(super) const VERSION: &str = "2";
const INSTALL: &str = "install dependencies";
const PYTHON: &str = "/usr/bin/python3";
/// The programs of the environment, one a line, in front of it in the layer.
const PROGRAMS: &str = "layers/python/programs.txt";
const MOST_BYTES: u64 = 1 << 20;

/// Makes the environment, fills it and writes down its programs. What is compiled is judged by its content and never
/// by its time, and never again when it is loaded.
const MAKE: &str = r#"
environment() { "$UV" venv --quiet --no-project --python "$PYTHON" "$UV_PROJECT_ENVIRONMENT"; }
install() { "$UV" pip install --python "$UV_PROJECT_ENVIRONMENT/bin/python" "$@"; }
"#;
const FROM_REQUIREMENTS: &str = "environment; install --requirements requirements.txt";
/// A lock names the registry that it was made with. At a mirror the same packages are known by their hashes.
const FROM_LOCK_AT_MIRROR: &str = r#"
"$UV" export --quiet --frozen --no-default-groups --no-emit-project --no-header --output-file /tmp/locked.txt
environment
install --require-hashes --requirements /tmp/locked.txt
"#;
const FROM_LOCK: &str = r#""$UV" sync --locked --no-default-groups --python "$PYTHON" $UV_OPTIONS"#;
const FROM_PROJECT: &str = "environment; install --requirements pyproject.toml";
const FROM_TREE: &str = "environment; install --editable .";
const FROM_PIPENV: &str = "environment; install --requirements /inputs/locked.txt";
/// Poetry says that a lock is not that of its project. What it exports has the hashes of everything but what is in
/// the tree.
const FROM_POETRY: &str = r#"
"$POETRY" export --only main --format requirements.txt --output /tmp/locked.txt $POETRY_OPTIONS
environment
install --requirements /tmp/locked.txt
"#;
const WITH_ITSELF: &str = "install --no-deps --editable .";
const LIST: &str = r#"
ls "$UV_PROJECT_ENVIRONMENT/bin" >/layers/python/programs.txt
"#;

/// What is installed from.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) inputs: Inputs,
    /// Requirements that were made of a lock.
    pub(super) locked: Option<String>,
}

/// The layer with the packages. The boolean says whether it was there.
pub(super) async fn layer(
    context: &Context<'_>,
    python: &PythonPlan,
    sources: &Sources,
) -> Result<(Digest, bool), BuildError> {
    context.layer(key(context, python, &sources.inputs), || install(context, python.packages, sources)).await
}

/// The programs of the environment.
pub(super) async fn programs(context: &Context<'_>, layer: Digest) -> Result<Vec<String>, BuildError> {
    let unavailable = |error| BuildError::unavailable(INSTALL, error);
    let content = context.blobs.open(layer).await.map_err(|error| BuildError::unavailable(INSTALL, error))?;
    let list = layer_file(content, PROGRAMS, MOST_BYTES).await.map_err(unavailable)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&list).lines().map(str::to_owned).collect())
}

/// All that decides what will be installed. The app is a part of it, since apps fill their caches themselves.
fn key(context: &Context<'_>, python: &PythonPlan, inputs: &Inputs) -> Key {
    let key = Key::new("flynn/python", VERSION)
        .with("uv", uv::VERSION)
        .with("app", context.request.app.to_string())
        .with("build base", context.build_base.key.to_string())
        .with("run base", context.run_base.key.to_string())
        .with("kind", kind(python.packages));
    let key = context.settings.mirrors.add_to(key);
    match inputs {
        Inputs::Files(files) => files.iter().fold(key, |key, (path, content)| key.with(path, content)),
        Inputs::Tree => key.with("tree", context.request.source.to_string()),
    }
}

fn kind(packages: PythonPackages) -> &'static str {
    match packages {
        PythonPackages::Uv => "uv",
        PythonPackages::Poetry => "poetry",
        PythonPackages::Pipenv => "pipenv",
        PythonPackages::Requirements => "requirements",
        PythonPackages::Project => "project",
        PythonPackages::Setup => "setup",
    }
}

fn source(packages: PythonPackages) -> &'static str {
    match packages {
        PythonPackages::Uv => "uv.lock",
        PythonPackages::Poetry => "poetry.lock",
        PythonPackages::Pipenv => "Pipfile.lock",
        PythonPackages::Requirements => "requirements.txt",
        PythonPackages::Project => "pyproject.toml",
        PythonPackages::Setup => "setup.py",
    }
}

/// What to run, by where the packages are listed.
fn script(packages: PythonPackages, is_tree: bool, has_mirror: bool) -> String {
    let parts: &[&str] = match (packages, is_tree) {
        (PythonPackages::Requirements, _) => &[FROM_REQUIREMENTS],
        (PythonPackages::Uv, false) if has_mirror => &[FROM_LOCK_AT_MIRROR],
        (PythonPackages::Uv, _) => &[FROM_LOCK],
        (PythonPackages::Project, false) => &[FROM_PROJECT],
        (PythonPackages::Project, true) | (PythonPackages::Setup, _) => &[FROM_TREE],
        (PythonPackages::Pipenv, _) => &[FROM_PIPENV],
        (PythonPackages::Poetry, false) => &[FROM_POETRY],
        (PythonPackages::Poetry, true) => &[FROM_POETRY, WITH_ITSELF],
    };
    [&[MAKE], parts, &[LIST]].concat().join("\n")
}

async fn install(context: &Context<'_>, packages: PythonPackages, sources: &Sources) -> Result<Digest, BuildError> {
    let uv = uv::layer(context).await?;
    let poetry = match packages {
        PythonPackages::Poetry => Some(poetry::layer(context, uv).await?),
        _ => None,
    };
    context.log.say(format_args!("Installing the packages of {}", source(packages)));
    let has_mirror = context.settings.mirrors.python_index.is_some();
    let is_tree = sources.inputs == Inputs::Tree;
    let script = script(packages, is_tree, has_mirror);
    let mut step = Step::new(INSTALL, context.build_base, &["/bin/sh", "-ec", &script]).over(uv);
    step = poetry.into_iter().fold(step, Step::over);
    step.network = true;
    step.cache = true;
    match &sources.inputs {
        Inputs::Files(files) => {
            step.directory = PathBuf::from("/inputs");
            step.files = files.clone();
        }
        Inputs::Tree => step = step.over(context.source_layer),
    }
    step.files.extend(sources.locked.iter().map(|locked| ("locked.txt".to_owned(), locked.clone().into_bytes())));
    let variables = [
        ("POETRY", poetry::PROGRAM),
        ("POETRY_CACHE_DIR", "/tmp/poetry"),
        ("POETRY_NO_INTERACTION", "1"),
        ("POETRY_OPTIONS", if has_mirror { "--without-urls" } else { "" }),
        ("PYTHON", PYTHON),
        ("UV_OPTIONS", if is_tree { "" } else { "--no-install-project" }),
        ("UV_PROJECT_ENVIRONMENT", ENVIRONMENT),
    ];
    let step = variables.into_iter().fold(uv::settings(step, context), |step, (name, value)| step.env(name, value));
    context.run(step).await
}
