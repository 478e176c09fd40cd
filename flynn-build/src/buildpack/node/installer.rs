//! yarn and pnpm as layers that all apps share.

use flynn_core::value::Digest;

use super::registry::{self, FETCH, releases};
use super::tool::{Known, Tool, choose, known};
use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::detect::{NodePackages, NodeTool};
use crate::keys::Key;

const LOOK: &str = "choose the installer";
const INSTALL: &str = "install the installer";
/// Where one is once its layer is in the chain.
pub(super) const PROGRAMS: &str = "/layers/installer/bin";

/// The archives differ in where the program is, and some are one program.
const FETCH_TOOL: &str = r#"
fetch "$PACKAGE" "$VERSION" "$INTEGRITY" tool.tgz
mkdir --parents /layers/installer/bin /layers/installer/package
tar --extract --no-same-owner --strip-components=1 --directory=/layers/installer/package --file=/tmp/tool.tgz
cd /layers/installer/package
for program in pnpm bin/pnpm.mjs bin/pnpm.cjs bin/yarn.js; do
  if [ -f "$program" ]; then
    chmod a+x "$program"
    ln --symbolic "../package/$program" "/layers/installer/bin/$NAME"
    exit 0
  fi
done
echo "error: the archive of $PACKAGE $VERSION has no program in it that is known"
exit 1
"#;

/// The layer with what installs the packages of an app; none if that is npm, which comes with Node.js.
pub(super) async fn layer(context: &Context<'_>, packages: &NodePackages) -> Result<Option<Digest>, BuildError> {
    if packages.tool == NodeTool::Npm {
        return Ok(None);
    }
    context.log.begin(LOOK);
    let failed = |reason: String| BuildError::failed(LOOK, reason);
    let tool = match (known(packages, std::env::consts::ARCH).map_err(failed)?, &packages.asked) {
        (Known::Package(package), Some(asked)) => {
            let releases = releases(context, LOOK, &package).await?;
            choose(asked, &package, &releases).map_err(failed)?
        }
        (Known::Tool(tool), _) => tool,
        (Known::Package(package), None) => {
            return Err(BuildError::unavailable(LOOK, format!("nobody asks for a version of {package}")));
        }
    };
    tool.note.iter().for_each(|note| context.log.note(note));
    let name = packages.tool.as_str();
    context.log.say(format_args!("{name} {}", tool.version));
    let Tool { package, version, integrity, .. } = &tool;
    let key = Key::new("flynn/node installer", "1")
        .with("package", package)
        .with("version", version)
        .with("integrity", integrity)
        .with("base", context.build_base.key.to_string());
    let make = || {
        context.log.say(format_args!("Installing {name} {version}, once for all apps"));
        let variables = [("NAME", name), ("PACKAGE", package), ("VERSION", version), ("INTEGRITY", integrity)];
        let step = registry::step(context, INSTALL, &[FETCH, FETCH_TOOL].concat());
        context.run(variables.into_iter().fold(step, |step, (name, value)| step.env(name, value)))
    };
    Ok(Some(context.layer(key, make).await?.0))
}
