//! The installer.

use flynn_core::value::Digest;

use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::keys::Key;
use crate::sandbox::Step;

/// The version in use.
pub(super) const VERSION: &str = "0.13.9";
/// Its wheels, for x86_64 and aarch64.
const HASHES: [&str; 2] = [
    "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
];
/// Where it is once its layer is in the chain.
pub(super) const PROGRAM: &str = "/layers/uv/bin/uv";

/// The layer with the installer. It is the same for all apps, since nothing of an app takes part in making it.
pub(super) async fn layer(context: &Context<'_>) -> Result<Digest, BuildError> {
    let requirement = requirement();
    let key =
        Key::new("flynn/uv", "1").with("requirement", &requirement).with("base", context.build_base.key.to_string());
    let key = context.settings.mirrors.add_to(key);
    let make = || {
        context.log.say(format_args!("Installing uv {VERSION}, once for all apps"));
        let mut step = Step::new(
            "install uv",
            context.build_base,
            &[
                "/usr/bin/python3",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--no-compile",
                "--no-cache-dir",
                "--disable-pip-version-check",
                "--only-binary=:all:",
                "--require-hashes",
                "--target=/layers/uv",
                "--requirement=/inputs/uv.txt",
            ],
        );
        step.files.insert("uv.txt".to_owned(), requirement.clone().into_bytes());
        step.network = true;
        if let Some(index) = &context.settings.mirrors.python_index {
            step = step.env("PIP_INDEX_URL", index);
        }
        context.run(step)
    };
    Ok(context.layer(key, make).await?.0)
}

/// The step with what uv has to know wherever it runs.
pub(super) fn settings(step: Step, context: &Context<'_>) -> Step {
    let variables = [
        ("NO_COLOR", "1"),
        ("PYC_INVALIDATION_MODE", "UNCHECKED_HASH"),
        ("UV", PROGRAM),
        ("UV_CACHE_DIR", if step.cache { "/cache/uv" } else { "/tmp/uv" }),
        ("UV_COMPILE_BYTECODE", "1"),
        // The cache is another file system.
        ("UV_LINK_MODE", "copy"),
        ("UV_NO_PROGRESS", "1"),
        ("UV_PYTHON_DOWNLOADS", "never"),
        ("UV_SYSTEM_CERTS", "1"),
    ];
    let step = variables.into_iter().fold(step, |step, (name, value)| step.env(name, value));
    match &context.settings.mirrors.python_index {
        Some(index) => step.env("UV_DEFAULT_INDEX", index),
        None => step,
    }
}

fn requirement() -> String {
    let hashes: String = HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}")).collect();
    format!("uv=={VERSION}{hashes}\n")
}
