use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use flynn_build::sandbox::SandboxNetwork;
use flynn_core::{AppId, BoxError, JobId};
use flynn_runtime::network::{BridgeNetwork, Network};

/// A network of builds alone: they reach package registries, and neither apps nor the node.
pub(crate) struct BuildNetwork(pub(crate) Arc<BridgeNetwork>);

#[async_trait]
impl SandboxNetwork for BuildNetwork {
    async fn attach(&self, sandbox: JobId, app: AppId) -> Result<PathBuf, BoxError> {
        Ok(self.0.attach(sandbox, app).await?.namespace)
    }

    async fn detach(&self, sandbox: JobId) -> Result<(), BoxError> {
        Ok(self.0.detach(sandbox).await?)
    }
}
