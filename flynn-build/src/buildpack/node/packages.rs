use flynn_core::value::Digest;

use super::inputs::Inputs;
use super::pack::VERSION;
use super::{commands, installer, release};
use crate::builder::BuildError;
use crate::buildpack::Context;
use crate::detect::{NodePlan, NodeTool, SitePlan};
use crate::keys::Key;
use crate::sandbox::Step;
use crate::settings::NPM_REGISTRY;

const INSTALL: &str = "install dependencies";
const BUILD: &str = "npm run build";

/// The packages of one app.
pub(super) struct Packages<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) node: &'a NodePlan,
    pub(super) inputs: &'a Inputs,
    /// The layers with Node.js and the installer.
    pub(super) programs: &'a [Digest],
}

impl Packages<'_> {
    /// The layer with the packages: those for development too if there is something to build.
    pub(super) async fn installed(&self) -> Result<Digest, BuildError> {
        let (layer, known) = self.context.layer(self.key(), || self.install()).await?;
        if known {
            self.context.log.say("The packages are those of an earlier build and are used again");
        }
        Ok(layer)
    }

    fn command(&self) -> String {
        commands::arguments(&self.node.packages, self.node.build.is_some())
    }

    /// All that decides what will be installed. The app is a part of it, since apps fill their caches themselves.
    fn key(&self) -> Key {
        let context = self.context;
        let key = Key::new("flynn/nodejs", VERSION)
            .with("app", context.request.app.to_string())
            .with("build base", context.build_base.key.to_string())
            .with("run base", context.run_base.key.to_string())
            .with("tool", self.node.packages.tool.as_str())
            .with("command", self.command());
        let key = self.programs.iter().fold(key, |key, layer| key.with("programs", layer.to_string()));
        let key = context.settings.mirrors.add_to(key);
        match self.inputs.tree {
            true => key.with("tree", context.request.source.to_string()),
            false => self.inputs.files.iter().fold(key, |key, (name, content)| key.with(name, content)),
        }
    }

    async fn install(&self) -> Result<Digest, BuildError> {
        let packages = &self.node.packages;
        self.context.log.say(match packages.lock {
            Some(_) => "Installing the packages of the lock file",
            None => "Installing the packages of package.json",
        });
        let script = commands::install(packages.tool, self.node.build.is_some(), self.inputs.tree);
        // Some ask questions unless they are told that nobody is there to answer.
        let mut step = self.step(INSTALL, &script).env("COMMAND", self.command()).env("CI", "true");
        match self.inputs.tree {
            true => step = step.over(self.context.source_layer),
            false => step.files = self.inputs.files.clone(),
        }
        self.context.run(step).await
    }

    /// The layer with what the app's own script made, and without what only that needed.
    pub(super) async fn built(&self, installed: Digest, script: &'static str) -> Result<Digest, BuildError> {
        let context = self.context;
        let prune = match &self.node.site {
            None if self.inputs.package.has_development_packages() => {
                commands::prune(&self.node.packages, self.inputs.spans)
            }
            _ => "",
        };
        let folder = self.node.site.as_ref().map_or("", served_folder);
        let key = Key::new("flynn/nodejs build", VERSION)
            .with("packages", installed.to_string())
            .with("source", context.request.source.to_string())
            .with("build base", context.build_base.key.to_string())
            .with("script", script)
            .with("site", folder)
            .with("prune", prune);
        let key = self.programs.iter().fold(key, |key, layer| key.with("programs", layer.to_string()));
        let make = || {
            context.log.say(format_args!("Running npm run {script}"));
            let step = self
                .step(BUILD, &commands::build())
                .env("SCRIPT", script)
                .env("SITE", folder)
                .env("PRUNE", prune)
                .env("NODE_ENV", "production");
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
        let mut step = Step::new(name, context.build_base, &["/bin/sh", "-ec", script]);
        step = self.programs.iter().fold(step, |step, layer| step.over(*layer));
        let path = step.env.get("PATH").cloned().unwrap_or_default();
        let mirror = context.settings.mirrors.npm_registry.as_deref();
        let registry = mirror.unwrap_or(NPM_REGISTRY).trim_end_matches('/');
        let variables = [
            ("PATH", &*format!("{}:{}:{path}", installer::PROGRAMS, release::PROGRAMS)),
            ("REGISTRY", registry),
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
        let tool = self.node.packages.tool;
        step = commands::settings(tool).into_iter().fold(step, |step, (name, value)| step.env(name, value));
        step = match tool {
            NodeTool::Npm | NodeTool::Pnpm => step,
            NodeTool::YarnClassic => step.env("YARN_CACHE_FOLDER", "/cache/yarn"),
            NodeTool::YarnBerry => step.env("YARN_GLOBAL_FOLDER", "/cache/berry"),
        };
        // By itself yarn asks an alias of the registry, unless the app names another one.
        if mirror.is_some() || !self.inputs.names_registry() {
            step = match tool {
                NodeTool::YarnClassic => step.env("YARN_REGISTRY", registry),
                NodeTool::YarnBerry => {
                    let host = registry.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next());
                    let step = step.env("YARN_NPM_REGISTRY_SERVER", registry);
                    host.flatten().into_iter().fold(step, |step, host| step.env("YARN_UNSAFE_HTTP_WHITELIST", host))
                }
                NodeTool::Npm | NodeTool::Pnpm => step,
            };
        }
        step.network = true;
        step.cache = true;
        step
    }
}

/// The folder beneath the tree that is served.
fn served_folder(site: &SitePlan) -> &str {
    site.root.as_ref().map_or(".", |root| root.as_str())
}
