//! The toolchain.

use flynn_core::value::Digest;

use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::keys::Key;
use crate::sandbox::Step;
use crate::settings::GO_PROXY;

/// The version in use. One that a `go.mod` asks for beyond it is fetched by this one itself.
pub(super) const VERSION: &str = "1.27.4";
/// The hash of its archive for x86_64.
const HASH: &str = "7ecd542f86ccbbb5017de33ac529872bc48c71f4edb658d63a18d2206f482b9b";
/// Where it is once its layer is in the chain.
pub(super) const PROGRAMS: &str = "/layers/go/bin";
const INSTALL: &str = "install Go";

/// What only those who work on Go itself need stays behind: a third of the bytes and two thirds of the files.
const FETCH: &str = r#"
archive=golang.org/toolchain/@v/v0.0.1-go$VERSION.linux-amd64.zip
curl --fail --silent --show-error --location --retry 3 --max-time 600 --output /tmp/go.zip "$PROXY/$archive"
echo "$HASH  /tmp/go.zip" | sha256sum --check --quiet || {
  echo "error: the archive of Go $VERSION has another hash than the one that is known"
  exit 1
}
python3 - <<'END'
import os, shutil, zipfile
start = f"golang.org/toolchain@v0.0.1-go{os.environ['VERSION']}.linux-amd64/"
archive = zipfile.ZipFile("/tmp/go.zip")
for entry in archive.infolist():
    name = entry.filename.removeprefix(start)
    if "/testdata/" in name or name.endswith("_test.go") or name.startswith(("api/", "doc/", "misc/", "src/cmd/", "test/")):
        continue
    path = os.path.join("/layers/go", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with archive.open(entry) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
END
chmod a+x /layers/go/bin/* /layers/go/pkg/tool/*/*
"#;

/// Where modules come from.
pub(super) fn proxy<'a>(context: &Context<'a>) -> &'a str {
    context.settings.mirrors.go_proxy.as_deref().unwrap_or(GO_PROXY).trim_end_matches('/')
}

/// The layer with it. It is the same for all apps, since nothing of an app takes part in making it.
pub(super) async fn layer(context: &Context<'_>) -> Result<Digest, BuildError> {
    if std::env::consts::ARCH != "x86_64" {
        let reason = format!("no Go is known for processors of the kind {}", std::env::consts::ARCH);
        return Err(BuildError::unavailable(INSTALL, reason));
    }
    let key = Key::new("flynn/go", "toolchain 1")
        .with("version", VERSION)
        .with("hash", HASH)
        .with("base", context.build_base.key.to_string());
    let make = || {
        context.log.say(format_args!("Installing Go {VERSION}, once for all apps"));
        let mut step = Step::new(INSTALL, context.build_base, &["/bin/sh", "-ec", FETCH])
            .env("VERSION", VERSION)
            .env("HASH", HASH)
            .env("PROXY", proxy(context));
        step.network = true;
        context.run(step)
    };
    Ok(context.layer(key, make).await?.0)
}
