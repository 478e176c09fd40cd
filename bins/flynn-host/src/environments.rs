use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::client::JobEnvs;
use flynn_core::name::EnvKey;
use flynn_core::port::Secret;
use flynn_core::{JobId, StoreError};
use flynn_runtime::agent::{EnvironmentError, Environments};

/// The environments of jobs, opened by the control plane.
pub(crate) struct FromControl(pub(crate) JobEnvs);

#[async_trait]
impl Environments for FromControl {
    async fn open(&self, job: JobId) -> Result<BTreeMap<EnvKey, Secret>, EnvironmentError> {
        self.0.open(job).await.map_err(|error| match error {
            StoreError::NotAllowed { .. } | StoreError::NotFound { .. } => {
                EnvironmentError::Refused { reason: format!("{:#}", anyhow::Error::from(error)) }
            }
            error => EnvironmentError::Unavailable(error.into()),
        })
    }
}
