use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::name::ProcessName;
use flynn_core::value::Digest;

use super::{programs, toolchain};
use crate::builder::BuildError;
use crate::buildpack::{Buildpack, Built, Context};
use crate::detect::{Evidence, GoPlan, Language, Plan, Undetected, detect};
use crate::image::{layer_file, process_types};
use crate::keys::Key;
use crate::sandbox::Step;

/// Changes whenever the same input leads to another layer.
const VERSION: &str = "1";
const BUILD: &str = "go build";
/// The programs that were built, each with its package.
const LIST: &str = "layers/programs.txt";
const MOST_BYTES: u64 = 1 << 20;

/// The programs of the module itself and beneath `cmd`; where there are none, all that it has.
const SCRIPT: &str = r#"
form='{{if eq .Name "main"}}{{.ImportPath}} {{.Target}}{{end}}'
go list -f '{{.Name}}' ./... >/dev/null
go list -e -f "$form" . ./cmd/... 2>/dev/null | grep . >/layers/programs.txt || go list -f "$form" ./... | grep . >/layers/programs.txt || {
  echo "error: the module has no package main, which is a program to run"
  exit 1
}
cut -d ' ' -f 1 /layers/programs.txt | xargs go install
"#;

/// Go apps: modules with at least one program.
///
/// The toolchain comes from the module proxy, as one layer for all apps; a later one that `go.mod` asks for, from
/// there too. Programs are put into `/app/bin`. What the compiler knows of earlier builds of the app, it uses again.
///
/// Not here: trees without a `go.mod`, toolchains before the one of this crate, and processors other than x86_64.
#[derive(Debug, Clone, Copy, Default)]
pub struct GoPack;

#[async_trait]
impl Buildpack for GoPack {
    fn id(&self) -> &'static str {
        "flynn/go"
    }

    fn version(&self) -> String {
        format!("{VERSION} with Go {}", toolchain::VERSION)
    }

    fn detect(&self, evidence: &Evidence) -> Result<Option<Plan>, Undetected> {
        detect(evidence).map(|plan| Some(plan).filter(|plan| matches!(plan.language, Language::Go(_))))
    }

    async fn build(&self, context: &Context<'_>) -> Result<Built, BuildError> {
        let Language::Go(go) = &context.plan.language else {
            return Err(BuildError::unavailable(BUILD, "the plan is for another language"));
        };
        let toolchain = toolchain::layer(context).await?;
        let key = Key::new("flynn/go", VERSION)
            .with("toolchain", toolchain.to_string())
            .with("app", context.request.app.to_string())
            .with("source", context.request.source.to_string())
            .with("run base", context.run_base.key.to_string());
        let made = context.layer(context.settings.mirrors.add_to(key), || compile(context, go, toolchain)).await?.0;
        let mut built = Built { above: vec![made], path: vec!["/app/bin".to_owned()], ..Built::default() };
        if context.plan.processes.is_empty() {
            built.processes = Some(process_types(&served(context, go, made).await?));
        }
        Ok(built)
    }
}

async fn compile(context: &Context<'_>, go: &GoPlan, toolchain: Digest) -> Result<Digest, BuildError> {
    context.log.say(format_args!("Building {}", go.module));
    let step = Step::new(BUILD, context.build_base, &["/bin/sh", "-ec", SCRIPT]);
    let path = step.env.get("PATH").cloned().unwrap_or_default();
    let variables = [
        ("PATH", &*format!("{}:{path}", toolchain::PROGRAMS)),
        ("GOBIN", "/app/bin"),
        ("GOCACHE", "/cache/go-build"),
        // The git history is not in a source tree.
        ("GOFLAGS", "-buildvcs=false -modcacherw -trimpath"),
        ("GOMODCACHE", "/cache/go-mod"),
        ("GOPATH", "/tmp/go"),
        ("GOPROXY", toolchain::proxy(context)),
        ("GOTOOLCHAIN", "auto"),
    ];
    let mut step = variables.into_iter().fold(step, |step, (name, value)| step.env(name, value));
    if context.settings.mirrors.go_proxy.is_some() {
        step = step.env("GOSUMDB", "off");
    }
    step.network = true;
    step.cache = true;
    context.run(step.over(toolchain).over(context.source_layer)).await
}

/// The command of `web`, by what was built.
async fn served(context: &Context<'_>, go: &GoPlan, made: Digest) -> Result<BTreeMap<ProcessName, String>, BuildError> {
    let content = context.blobs.open(made).await.map_err(|error| BuildError::unavailable(BUILD, error))?;
    let list = layer_file(content, LIST, MOST_BYTES).await.map_err(|error| BuildError::unavailable(BUILD, error))?;
    let programs = programs::read(&String::from_utf8_lossy(&list.unwrap_or_default()));
    let program = programs::web(&go.module, &programs).map_err(|problem| BuildError::failed(BUILD, problem))?;
    context.log.say(format_args!("There is no Procfile: web is `bin/{}`", program.name));
    let web = ProcessName::new("web").map_err(|error| BuildError::unavailable(BUILD, error))?;
    Ok(BTreeMap::from([(web, format!("/app/bin/{}", program.name))]))
}
