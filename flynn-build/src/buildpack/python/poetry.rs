//! What reads a `poetry.lock`: Poetry itself, which makes requirements of it.

use flynn_core::value::Digest;

use super::uv;
use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::keys::Key;
use crate::sandbox::Step;

/// Poetry and all that it needs, by the hashes of their wheels.
const REQUIREMENTS: &str = include_str!("poetry.txt");
/// Where it is once its layer is in the chain.
pub(super) const PROGRAM: &str = "/layers/poetry/bin/poetry";

const INSTALL: &str = r#"
"$UV" venv --quiet --no-project --python /usr/bin/python3 /layers/poetry
exec "$UV" pip install --quiet --python /layers/poetry/bin/python --require-hashes --only-binary :all: \
  --requirements /inputs/poetry.txt
"#;

/// The layer with Poetry. It is the same for all apps, since nothing of an app takes part in making it.
pub(super) async fn layer(context: &Context<'_>, uv: Digest) -> Result<Digest, BuildError> {
    let key = Key::new("flynn/poetry", "1")
        .with("requirements", REQUIREMENTS)
        .with("install", INSTALL)
        .with("uv", uv.to_string())
        .with("base", context.build_base.key.to_string());
    let key = context.settings.mirrors.add_to(key);
    let make = || {
        context.log.say("Installing Poetry, once for all apps");
        let mut step = Step::new("install Poetry", context.build_base, &["/bin/sh", "-ec", INSTALL]).over(uv);
        step.files.insert("poetry.txt".to_owned(), REQUIREMENTS.as_bytes().to_vec());
        step.network = true;
        context.run(uv::settings(step, context))
    };
    Ok(context.layer(key, make).await?.0)
}
