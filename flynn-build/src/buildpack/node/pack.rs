use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::value::Digest;

use super::inputs::{self, Inputs};
use super::{npm, release};
use crate::builder::BuildError;
use crate::buildpack::{Buildpack, Built, Context};
use crate::detect::{Evidence, Language, NodePackages, NodePlan, Plan, Undetected, detect};
use crate::image::process_types;
use crate::keys::Key;
use crate::sandbox::Step;

/// Changes whenever the same input leads to another layer.
const VERSION: &str = "1";
const INSTALL: &str = "install dependencies";
const BUILD: &str = "npm run build";

/// Runs npm without the manual that it prints with an error, which is longer than what it has to say.
const NPM: &str = r#"
status=0
npm $COMMAND 2>/tmp/errors || status=$?
sed '/^npm error Clean install a project/,/^npm error Run "npm help/d' /tmp/errors >&2
[ "$status" = 0 ] || exit "$status"
"#;
/// Installs in the app's own folder, where node looks for packages. Only they stay.
const TAKE_FILES: &str = "cp -R /inputs/. /app/";
const DROP_FILES: &str = r#"cd /inputs; for file in $(ls -A); do rm "/app/$file"; done"#;
/// What a package keeps beside itself for its next run is of no use in an image.
const RUN_BUILD: &str = r#"
npm run --silent build
$PRUNE
rm -rf node_modules/.cache
"#;

/// Node.js apps whose packages npm installs.
///
/// Node.js and npm come from the npm registry: the version that the app asks for, as one layer for all apps. Packages
/// are a layer that is reused for as long as `package.json`, the lock and Node.js are the same, which takes no
/// sandbox. If the app has scripts of its own for the installation, or packages in its tree, then any change of the
/// tree installs again. With a script `build`, development packages are there while it runs and not afterwards.
///
/// Not here: pnpm, yarn, a cache for the script `build`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodePack;

#[async_trait]
impl Buildpack for NodePack {
    fn id(&self) -> &'static str {
        "flynn/nodejs"
    }

    fn version(&self) -> String {
        format!("{VERSION} with {}", npm::VERSIONS)
    }

    fn detect(&self, evidence: &Evidence) -> Result<Option<Plan>, Undetected> {
        detect(evidence).map(|plan| Some(plan).filter(|plan| matches!(plan.language, Language::Node(_))))
    }

    async fn build(&self, context: &Context<'_>) -> Result<Built, BuildError> {
        context.log.begin(inputs::STEP);
        let Language::Node(node) = &context.plan.language else {
            return Err(BuildError::unavailable(inputs::STEP, "the plan is for another language"));
        };
        let source = context.source.clone();
        let inputs = tokio::task::spawn_blocking(move || inputs::read(&source)).await;
        let inputs = inputs.map_err(|error| BuildError::unavailable(inputs::STEP, error))??;
        let choice = release::choice(context, node.version.as_ref()).await?;
        choice.note.iter().for_each(|note| context.log.note(note));
        context.log.say(format_args!("Node.js {}", choice.version));
        let programs = release::layer(context, &choice).await?;
        let packages = Packages { context, node, inputs: &inputs, programs };
        let installed = packages.installed().await?;
        let mut built = Built { below: vec![programs], ..Built::default() };
        match inputs.tree {
            true => built.above.push(installed),
            false => built.below.push(installed),
        }
        if node.builds {
            built.above.push(packages.built(installed).await?);
        }
        built.path = vec![release::PROGRAMS.to_owned(), "/app/node_modules/.bin".to_owned()];
        built.env.insert("NODE_ENV".to_owned(), "production".to_owned());
        let commands: BTreeMap<_, _> = context
            .plan
            .processes
            .iter()
            .map(|(name, command)| (name.clone(), inputs.package.without_npm(command).unwrap_or(command).to_owned()))
            .collect();
        built.processes = Some(process_types(&commands));
        Ok(built)
    }
}

/// The packages of one app.
struct Packages<'a> {
    context: &'a Context<'a>,
    node: &'a NodePlan,
    inputs: &'a Inputs,
    /// The layer with Node.js and npm.
    programs: Digest,
}

impl Packages<'_> {
    /// The layer with the packages: those for development too if there is something to build.
    async fn installed(&self) -> Result<Digest, BuildError> {
        let (layer, known) = self.context.layer(self.key(), || self.install()).await?;
        if known {
            self.context.log.say("The packages are those of an earlier build and are used again");
        }
        Ok(layer)
    }

    /// All that decides what will be installed. The app is a part of it, since apps fill their caches themselves.
    fn key(&self) -> Key {
        let context = self.context;
        let key = Key::new("flynn/nodejs", VERSION)
            .with("app", context.request.app.to_string())
            .with("programs", self.programs.to_string())
            .with("build base", context.build_base.key.to_string())
            .with("run base", context.run_base.key.to_string())
            .with("command", self.command());
        let key = context.settings.mirrors.add_to(key);
        match self.inputs.tree {
            true => key.with("tree", context.request.source.to_string()),
            false => self.inputs.files.iter().fold(key, |key, (name, content)| key.with(name, content)),
        }
    }

    fn command(&self) -> String {
        let install = match self.node.packages {
            NodePackages::NpmLocked => "ci",
            NodePackages::NpmUnlocked => "install --no-package-lock",
        };
        format!("{install} {}", if self.node.builds { "--include=dev" } else { "--omit=dev" })
    }

    async fn install(&self) -> Result<Digest, BuildError> {
        self.context.log.say(match self.node.packages {
            NodePackages::NpmLocked => "Installing the packages of the lock file",
            NodePackages::NpmUnlocked => "Installing the packages of package.json",
        });
        let script = match self.inputs.tree {
            true => NPM.to_owned(),
            false => format!("{TAKE_FILES}\n{NPM}\n{DROP_FILES}"),
        };
        let mut step = self.step(INSTALL, &script).env("COMMAND", self.command());
        match self.inputs.tree {
            true => step = step.over(self.context.source_layer),
            false => step.files = self.inputs.files.clone(),
        }
        self.context.run(step).await
    }

    /// The layer with what the app's own script made, and without what only that needed.
    async fn built(&self, installed: Digest) -> Result<Digest, BuildError> {
        let context = self.context;
        let prune = match self.inputs.package.has_development_packages() {
            true => "npm prune --omit=dev --ignore-scripts",
            false => "",
        };
        let key = Key::new("flynn/nodejs build", VERSION)
            .with("packages", installed.to_string())
            .with("programs", self.programs.to_string())
            .with("source", context.request.source.to_string())
            .with("build base", context.build_base.key.to_string())
            .with("prune", prune);
        let make = || {
            context.log.say("Running npm run build");
            let step = self.step(BUILD, RUN_BUILD).env("PRUNE", prune).env("NODE_ENV", "production");
            let (lower, upper) = match self.inputs.tree {
                true => (context.source_layer, installed),
                false => (installed, context.source_layer),
            };
            context.run(step.over(lower).over(upper))
        };
        Ok(context.layer(key, make).await?.0)
    }

    fn step(&self, name: &'static str, script: &str) -> Step {
        let context = self.context;
        let mut step = Step::new(name, context.build_base, &["/bin/sh", "-ec", script]).over(self.programs);
        let path = step.env.get("PATH").cloned().unwrap_or_default();
        let variables = [
            ("CI", "true"),
            ("PATH", &*format!("{}:{path}", release::PROGRAMS)),
            ("npm_config_audit", "false"),
            ("npm_config_cache", "/cache/npm"),
            ("npm_config_fund", "false"),
            ("npm_config_progress", "false"),
            ("npm_config_update_notifier", "false"),
            // Headers for packages that compile something, which would be fetched from elsewhere.
            ("npm_package_config_node_gyp_nodedir", "/layers/node"),
        ];
        step = variables.into_iter().fold(step, |step, (name, value)| step.env(name, value));
        if let Some(registry) = &context.settings.mirrors.npm_registry {
            step = step.env("npm_config_registry", registry);
        }
        step.network = true;
        step.cache = true;
        step
    }
}
