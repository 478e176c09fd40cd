use std::io::Read;
use std::path::PathBuf;

use async_trait::async_trait;
use flynn_core::value::Digest;

use super::inputs::{Inputs, inputs};
use super::{uv, version};
use crate::builder::BuildError;
use crate::buildpack::{Buildpack, Built, Context};
use crate::detect::{Evidence, Language, Plan, PythonPackages, PythonPlan, Undetected, detect};
use crate::keys::Key;
use crate::sandbox::Step;
use crate::source::{Entry, SourceTree};

/// Changes whenever the same input leads to another layer.
const VERSION: &str = "1";
const INSTALL: &str = "install dependencies";
const READ: &str = "read requirements";
/// A larger file of requirements is taken for something else.
const MOST_BYTES: u64 = 16 << 20;

/// The virtual environment, where the app will find it too.
const ENVIRONMENT: &str = "/layers/python/venv";
const PYTHON: &str = "/usr/bin/python3";

/// Makes the environment and fills it. What is compiled is judged by its content and never by its time, and never
/// again when it is loaded.
const FROM_REQUIREMENTS: &str = r#"
"$UV" venv --quiet --no-project --python "$PYTHON" "$UV_PROJECT_ENVIRONMENT"
exec "$UV" pip install --python "$UV_PROJECT_ENVIRONMENT/bin/python" --requirements requirements.txt
"#;
/// A lock names the registry that it was made with. At a mirror the same packages are known by their hashes.
const FROM_LOCK_AT_MIRROR: &str = r#"
"$UV" export --quiet --frozen --no-default-groups --no-emit-project --no-header --output-file /tmp/locked.txt
"$UV" venv --quiet --no-project --python "$PYTHON" "$UV_PROJECT_ENVIRONMENT"
exec "$UV" pip install --python "$UV_PROJECT_ENVIRONMENT/bin/python" --require-hashes --requirements /tmp/locked.txt
"#;
const FROM_LOCK: &str = r#"exec "$UV" sync --locked --no-default-groups --python "$PYTHON" $UV_OPTIONS"#;

/// Python apps with a `requirements.txt` or a `uv.lock`.
///
/// Packages are installed by uv into a virtual environment on the base image's own Python, and compiled. That layer
/// is reused for as long as requirements, base image and uv are the same, which takes no sandbox. If the tree is a
/// package itself, or names one of its folders as a requirement, then any change of the tree installs again.
///
/// Not here: other versions of Python, Poetry, Pipenv, `collectstatic`; a mirror for locks of projects that are
/// packages themselves, which are read from the registry that the lock names.
#[derive(Debug, Clone, Copy, Default)]
pub struct PythonPack;

#[async_trait]
impl Buildpack for PythonPack {
    fn id(&self) -> &'static str {
        "flynn/python"
    }

    fn version(&self) -> String {
        format!("{VERSION} with uv {}", uv::VERSION)
    }

    fn detect(&self, evidence: &Evidence) -> Result<Option<Plan>, Undetected> {
        detect(evidence).map(|plan| Some(plan).filter(|plan| matches!(plan.language, Language::Python(_))))
    }

    async fn build(&self, context: &Context<'_>) -> Result<Built, BuildError> {
        let Language::Python(python) = &context.plan.language else {
            return Err(BuildError::unavailable(READ, "the plan is for another language"));
        };
        let offered = context.build_base.versions.get("python").map(String::as_str).unwrap_or_default();
        version::note(python.version.as_ref(), offered).iter().for_each(|note| context.log.note(note));
        context.log.begin(READ);
        let inputs = read_inputs(python.packages, context.source).await?;
        let (layer, known) =
            context.layer(key(context, python, &inputs), || install(context, python.packages, &inputs)).await?;
        if known {
            context.log.say("The requirements are those of an earlier build: its packages are used again");
        }
        let env = [("PYTHONUNBUFFERED", "1"), ("VIRTUAL_ENV", ENVIRONMENT), ("LANG", "C.UTF-8")];
        Ok(Built {
            below: vec![layer],
            path: vec![format!("{ENVIRONMENT}/bin")],
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Built::default()
        })
    }
}

/// All that decides what will be installed. The app is a part of it, since apps fill their caches themselves.
fn key(context: &Context<'_>, python: &PythonPlan, inputs: &Inputs) -> Key {
    let kind = match python.packages {
        PythonPackages::Requirements => "requirements",
        PythonPackages::Uv => "uv",
    };
    let key = Key::new("flynn/python", VERSION)
        .with("uv", uv::VERSION)
        .with("app", context.request.app.to_string())
        .with("build base", context.build_base.key.to_string())
        .with("run base", context.run_base.key.to_string())
        .with("kind", kind);
    let key = context.settings.mirrors.add_to(key);
    match inputs {
        Inputs::Files(files) => files.iter().fold(key, |key, (path, content)| key.with(path, content)),
        Inputs::Tree => key.with("tree", context.request.source.to_string()),
    }
}

async fn install(context: &Context<'_>, packages: PythonPackages, inputs: &Inputs) -> Result<Digest, BuildError> {
    let uv = uv::layer(context).await?;
    context.log.say(match packages {
        PythonPackages::Requirements => "Installing the packages of requirements.txt",
        PythonPackages::Uv => "Installing the packages of uv.lock",
    });
    let has_mirror = context.settings.mirrors.python_index.is_some();
    let script = match (packages, inputs) {
        (PythonPackages::Requirements, _) => FROM_REQUIREMENTS,
        (PythonPackages::Uv, Inputs::Files(_)) if has_mirror => FROM_LOCK_AT_MIRROR,
        (PythonPackages::Uv, _) => FROM_LOCK,
    };
    let mut step = Step::new(INSTALL, context.build_base, &["/bin/sh", "-ec", script]).over(uv);
    step.network = true;
    step.cache = true;
    match inputs {
        Inputs::Files(files) => {
            step.directory = PathBuf::from("/inputs");
            step.files = files.clone();
            step = step.env("UV_OPTIONS", "--no-install-project");
        }
        Inputs::Tree => step = step.over(context.source_layer).env("UV_OPTIONS", ""),
    }
    let environment = [
        ("NO_COLOR", "1"),
        ("PYC_INVALIDATION_MODE", "UNCHECKED_HASH"),
        ("PYTHON", PYTHON),
        ("UV", uv::PROGRAM),
        ("UV_CACHE_DIR", "/cache/uv"),
        ("UV_COMPILE_BYTECODE", "1"),
        // The cache is another file system.
        ("UV_LINK_MODE", "copy"),
        ("UV_NO_PROGRESS", "1"),
        ("UV_PROJECT_ENVIRONMENT", ENVIRONMENT),
        ("UV_PYTHON_DOWNLOADS", "never"),
        ("UV_SYSTEM_CERTS", "1"),
    ];
    let step = environment.into_iter().fold(step, |step, (name, value)| step.env(name, value));
    let step = match &context.settings.mirrors.python_index {
        Some(index) => step.env("UV_DEFAULT_INDEX", index),
        None => step,
    };
    context.run(step).await
}

async fn read_inputs(packages: PythonPackages, source: &SourceTree) -> Result<Inputs, BuildError> {
    let source = source.clone();
    let read = tokio::task::spawn_blocking(move || inputs(packages, &|path| read_file(&source, path))).await;
    read.map_err(|error| BuildError::unavailable(READ, error))
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
