//! What the npm registry has of a package, and its archives.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::image::layer_file;
use crate::keys::Key;
use crate::sandbox::Step;
use crate::settings::NPM_REGISTRY;

const DAY: u64 = 24 * 3_600 * 1_000;
/// The most bytes of what a registry says of a package.
const MOST_BYTES: u64 = 32 << 20;

const FETCH_RELEASES: &str = r#"
exec curl --fail --silent --show-error --location --retry 3 --max-time 120 \
  --header 'Accept: application/vnd.npm.install-v1+json' --output /layers/releases.json "$REGISTRY/$PACKAGE"
"#;

/// `fetch PACKAGE VERSION INTEGRITY ARCHIVE` takes an archive from the registry into `/tmp/ARCHIVE`, and ends everything
/// if its hash is not the stated one.
pub(super) const FETCH: &str = r#"
fetch() {
  curl --fail --silent --show-error --location --retry 3 --max-time 600 --output "/tmp/$4" \
    "$REGISTRY/$1/-/${1##*/}-$2.tgz"
  hash="sha512-$(openssl dgst -sha512 -binary "/tmp/$4" | base64 --wrap=0)"
  if [ "$hash" != "$3" ]; then
    echo "error: the archive of $1 $2 has the hash $hash, and $3 is stated"
    exit 1
  fi
}
"#;

/// What a registry says of a package.
#[derive(Debug, Deserialize)]
pub(super) struct Releases {
    pub(super) versions: BTreeMap<String, Release>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Release {
    pub(super) dist: Distribution,
}

#[derive(Debug, Deserialize)]
pub(super) struct Distribution {
    pub(super) integrity: Option<String>,
}

/// What there is of a package. The registry is asked at most once a day.
pub(super) async fn releases(context: &Context<'_>, name: &'static str, package: &str) -> Result<Releases, BuildError> {
    let key = Key::new("flynn/node", "releases 1").with("package", package).with("day", today(context).to_le_bytes());
    let look = || {
        let mut step = step(context, name, FETCH_RELEASES);
        step.env.insert("PACKAGE".to_owned(), package.to_owned());
        context.run(step)
    };
    let (layer, _) = context.layer(context.settings.mirrors.add_to(key), look).await?;
    let content = context.blobs.open(layer).await.map_err(|error| BuildError::unavailable(name, error))?;
    let text = layer_file(content, "layers/releases.json", MOST_BYTES).await;
    let text = text.map_err(|error| BuildError::unavailable(name, error))?.unwrap_or_default();
    serde_json::from_slice(&text)
        .map_err(|error| BuildError::unavailable(name, format!("what the registry says of {package}: {error}")))
}

/// The number of the day, by which what a registry said yesterday is told apart.
pub(super) fn today(context: &Context<'_>) -> u64 {
    context.log.now().as_millis() / DAY
}

/// A step that runs a shell's script with the registry at hand.
pub(super) fn step(context: &Context<'_>, name: &'static str, script: &str) -> Step {
    let registry = context.settings.mirrors.npm_registry.as_deref().unwrap_or(NPM_REGISTRY);
    let mut step = Step::new(name, context.build_base, &["/bin/sh", "-ec", script])
        .env("REGISTRY", registry.trim_end_matches('/'));
    step.network = true;
    step
}
