use async_trait::async_trait;

use super::{Buildpack, Built, Context};
use crate::base::BaseKind;
use crate::builder::BuildError;
use crate::detect::{Evidence, Language, Plan, Undetected, detect};

/// Apps of which nothing has to be built: programs and scripts that a `Procfile` names.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcfilePack;

#[async_trait]
impl Buildpack for ProcfilePack {
    fn id(&self) -> &'static str {
        "flynn/procfile"
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn detect(&self, evidence: &Evidence) -> Result<Option<Plan>, Undetected> {
        detect(evidence).map(|plan| Some(plan).filter(|plan| plan.language == Language::Procfile))
    }

    fn builds_in(&self) -> BaseKind {
        BaseKind::Run
    }

    async fn build(&self, _: &Context<'_>) -> Result<Built, BuildError> {
        Ok(Built::default())
    }
}
