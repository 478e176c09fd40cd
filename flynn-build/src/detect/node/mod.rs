//! Node.js apps: what installs their packages, which versions, what is built and what is started.

mod package;
mod packages;
mod site;
mod start;
mod version;

use super::evidence::Evidence;
use super::{SitePlan, Undetected, VersionRequest};
use package::Package;

pub use packages::{NodePackages, NodeTool};

const PACKAGE: &str = "package.json";

/// What a builder has to know of a Node.js app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// What installs its packages.
    pub packages: NodePackages,
    /// The version of Node.js that it asks for.
    pub version: Option<VersionRequest>,
    /// The script of `package.json` that is run after the installation.
    pub build: Option<&'static str>,
    /// The files that are served in place of a process, once they are built.
    pub site: Option<SitePlan>,
}

/// The plan, and the command that starts the app without a `Procfile`.
pub(super) fn plan(evidence: &Evidence, notes: &mut Vec<String>) -> Result<(NodePlan, Option<String>), Undetected> {
    let package = Package::of(evidence)?;
    let packages = packages::packages(evidence, &package, notes)?;
    let version = version::version(evidence, &package, notes)?;
    // Some have one for platforms like this, which counts before the usual one.
    let build = ["heroku-postbuild", "build"].into_iter().find(|script| package.scripts.contains_key(*script));
    let site = site::site(evidence, &package, notes)?;
    let start = match site {
        Some(_) => None,
        None => start::start(evidence, &package),
    };
    Ok((NodePlan { packages, version, build, site }, start))
}
