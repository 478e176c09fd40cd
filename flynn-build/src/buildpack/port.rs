use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::name::ProcessName;
use flynn_core::noun::ProcessType;
use flynn_core::value::Digest;

use super::Context;
use crate::base::BaseKind;
use crate::builder::BuildError;
use crate::detect::{Evidence, Plan, Undetected};

/// Knows how to build one language.
#[async_trait]
pub trait Buildpack: Send + Sync {
    /// Its name, such as `flynn/python`.
    fn id(&self) -> &'static str;

    /// Changes whenever it makes something else of the same input, so that nothing older is reused.
    fn version(&self) -> String;

    /// What it would build; none if the tree is not for it. It is a pure decision.
    ///
    /// # Errors
    /// Why the tree cannot be built although something in it is for this buildpack.
    fn detect(&self, evidence: &Evidence) -> Result<Option<Plan>, Undetected>;

    /// The base image that its steps run in. One that starts no step says [`BaseKind::Run`], since that is there
    /// anyway, so that nobody waits for the other.
    fn builds_in(&self) -> BaseKind {
        BaseKind::Build
    }

    /// Builds the layers.
    ///
    /// # Errors
    /// The failing step.
    async fn build(&self, context: &Context<'_>) -> Result<Built, BuildError>;
}

/// What a buildpack made. All layers are durable in the blob store.
///
/// An image consists of the run image, `below`, the source tree at `/app`, and `above`, in this order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Built {
    /// Layers between run image and source, such as installed packages.
    pub below: Vec<Digest>,
    /// Layers on top of the source, such as what was compiled from it.
    pub above: Vec<Digest>,
    /// Directories in front of the run image's `PATH`.
    pub path: Vec<String>,
    /// Variables beside those of the run image.
    pub env: BTreeMap<String, String>,
    /// What can be run; it replaces the commands of the plan. None for those of the plan.
    pub processes: Option<BTreeMap<ProcessName, ProcessType>>,
}
