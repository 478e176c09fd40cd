//! The files that a site of Django serves, gathered into one folder.

use flynn_core::value::Digest;

use super::ENVIRONMENT;
use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::keys::Key;
use crate::sandbox::Step;

const STEP: &str = "collect static files";
/// Changes whenever the same input leads to another layer.
const VERSION: &str = "1";

/// A site that names no folder for them has none to gather, and one without the command serves none. One whose
/// settings need what is only there when it runs cannot be asked, and may do without.
const COLLECT: &str = r#"
if python manage.py collectstatic --noinput >/tmp/output 2>&1; then
  tail -n 1 /tmp/output
elif grep -q 'STATIC_ROOT' /tmp/output; then
  echo "       note: the settings name no STATIC_ROOT, so that static files are not collected"
elif ! grep -q 'Unknown command' /tmp/output; then
  cat /tmp/output
  echo "       note: static files could not be collected, and may be missing: variables of the app are not there when it is built"
fi
"#;

/// The layer with them, over the source.
pub(super) async fn layer(context: &Context<'_>, packages: Digest) -> Result<Digest, BuildError> {
    let key = Key::new("flynn/python collectstatic", VERSION)
        .with("packages", packages.to_string())
        .with("source", context.request.source.to_string())
        .with("build base", context.build_base.key.to_string());
    let make = || {
        context.log.say("Collecting static files");
        let step = Step::new(STEP, context.build_base, &["/bin/sh", "-ec", COLLECT]);
        let path = step.env.get("PATH").cloned().unwrap_or_default();
        let step = step
            .over(packages)
            .over(context.source_layer)
            .env("PATH", format!("{ENVIRONMENT}/bin:{path}"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LANG", "C.UTF-8");
        context.run(step)
    };
    Ok(context.layer(key, make).await?.0)
}
