//! Python apps: where their packages are listed, which version they ask for, and what serves them.

mod packages;
mod serve;
mod version;

use super::evidence::Evidence;
use super::{Undetected, VersionRequest};

pub use packages::PythonPackages;
pub use serve::PythonServe;

/// What a builder has to know of a Python app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonPlan {
    /// Where its packages are listed.
    pub packages: PythonPackages,
    /// The version that it asks for.
    pub version: Option<VersionRequest>,
    /// What is to be served if no `Procfile` says what to run. Which program serves it is known once packages are
    /// installed.
    pub serve: Option<PythonServe>,
    /// Whether there is a `manage.py` of Django.
    pub manages: bool,
}

pub(super) fn plan(evidence: &Evidence, notes: &mut Vec<String>) -> Result<PythonPlan, Undetected> {
    let packages = packages::packages(evidence, notes)?;
    let version = version::version(evidence, packages, notes)?;
    let manages = evidence.head("manage.py").contains("django");
    Ok(PythonPlan { packages, version, serve: serve::serve(evidence), manages })
}
