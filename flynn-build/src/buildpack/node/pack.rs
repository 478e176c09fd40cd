use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::value::Digest;

use super::inputs::{self, Inputs};
use super::packages::Packages;
use super::{installer, npm, release};
use crate::builder::BuildError;
use crate::buildpack::site;
use crate::buildpack::{Buildpack, Built, Context};
use crate::detect::{Evidence, Language, NodePlan, Plan, SitePlan, Undetected, detect};
use crate::image::process_types;

/// Changes whenever the same input leads to another layer.
pub(super) const VERSION: &str = "2";

/// Node.js apps whose packages npm, yarn or pnpm installs.
///
/// Node.js and the installer come from the npm registry: the versions that the app asks for, as layers for all apps.
/// Packages are a layer that is reused for as long as `package.json`, the lock and Node.js are the same, which takes
/// no sandbox. If the app has scripts of its own for the installation, or packages in its tree, then any change of the
/// tree installs again. With a script `build`, development packages are there while it runs and not afterwards. Where
/// that makes a site and nothing else, its files are served, and the image has no Node.js.
///
/// Not here: bun, Plug'n'Play (yarn installs into `node_modules`), a cache for the script `build`.
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
        let mut programs = vec![release::layer(context, &choice).await?];
        programs.extend(installer::layer(context, &node.packages).await?);
        let packages = Packages { context, node, inputs: &inputs, programs: &programs };
        let installed = packages.installed().await?;
        let made = match node.build {
            Some(script) => Some(packages.built(installed, script).await?),
            None => None,
        };
        match &node.site {
            Some(site) => served(context, site, made).await,
            None => Ok(run(context, node, &inputs, &programs, installed, made)),
        }
    }
}

/// What a process of Node.js runs in.
fn run(
    context: &Context<'_>,
    node: &NodePlan,
    inputs: &Inputs,
    programs: &[Digest],
    installed: Digest,
    made: Option<Digest>,
) -> Built {
    let mut built = Built { below: programs.to_vec(), ..Built::default() };
    match inputs.tree {
        true => built.above.push(installed),
        false => built.below.push(installed),
    }
    built.above.extend(made);
    built.path = vec![release::PROGRAMS.to_owned(), "/app/node_modules/.bin".to_owned()];
    if programs.len() > 1 {
        built.path.insert(0, installer::PROGRAMS.to_owned());
    }
    built.env.insert("NODE_ENV".to_owned(), "production".to_owned());
    let settings = super::commands::settings(node.packages.tool);
    built.env.extend(settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    let commands: BTreeMap<_, _> = context
        .plan
        .processes
        .iter()
        .map(|(name, command)| (name.clone(), inputs.package.without_npm(command).unwrap_or(command).to_owned()))
        .collect();
    built.processes = Some(process_types(&commands));
    built
}

/// The files that the build made, and what serves them.
async fn served(context: &Context<'_>, plan: &SitePlan, made: Option<Digest>) -> Result<Built, BuildError> {
    let (server, processes) = site::server(context, plan).await?;
    Ok(Built { below: vec![server], above: made.into_iter().collect(), processes: Some(processes), ..Built::default() })
}
