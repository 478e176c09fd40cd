use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use flynn_core::name::{EnvKey, NodeName};
use flynn_core::port::{EventLog, Presence, Secret, Store};
use flynn_core::{JobId, NodeId};

use super::error::unavailable;
use super::{Machine, MachineError, node_status};
use crate::ContainerRuntime;
use crate::agent::{
    Agent, AgentOptions, AgentParts, ContainerWorkplace, ContainerWorkplaceOptions, ContainerWorkplaceParts,
    EnvironmentError, Environments,
};
use crate::logs::{Logs, LogsOptions};
use crate::snapshot::OverlaySnapshots;

impl Machine {
    /// The agent that makes this machine the node `node` of `store`, and the logs of what it runs. The jobs'
    /// configurations are opened by `environments`. Nothing runs before the agent does.
    ///
    /// # Errors
    /// `Unavailable` if its records cannot be read.
    pub async fn agent<S, P>(
        &self,
        node: (NodeId, NodeName),
        store: Arc<S>,
        presence: Arc<P>,
        environments: Arc<dyn Environments>,
    ) -> Result<(Agent<S, ContainerRuntime>, Arc<Logs>), MachineError>
    where
        S: Store + EventLog + 'static,
        P: Presence + 'static,
    {
        const OPERATION: &str = "make an agent";
        let (node, name) = node;
        let options = ContainerWorkplaceOptions {
            records: self.directory.join("jobs"),
            node: name,
            resolvers: self.resolvers.clone(),
            authorities: self.authorities.clone(),
            trusts_root: self.trusts_root,
        };
        let parts = ContainerWorkplaceParts {
            images: self.images.clone(),
            snapshots: OverlaySnapshots::clone(&self.job_snapshots()),
            network: self.network.clone(),
            environments,
        };
        let workplace = ContainerWorkplace::open(options, parts, &*self.clock).await.map_err(unavailable(OPERATION))?;
        let options = LogsOptions::new(self.directory.join("logs"));
        let logs = Arc::new(Logs::open(options, self.runtime.clone()).map_err(unavailable(OPERATION))?);
        let status = node_status(&self.directory, env!("CARGO_PKG_VERSION")).map_err(unavailable(OPERATION))?;
        let parts = AgentParts {
            store,
            presence,
            runtime: self.runtime.clone(),
            workplace: Arc::new(workplace),
            logs: logs.clone(),
            clock: self.clock.clone(),
        };
        Ok((Agent::new(parts, AgentOptions::new(node, status)), logs))
    }
}

/// For jobs without a configuration: it opens none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEnvironments;

#[async_trait]
impl Environments for NoEnvironments {
    async fn open(&self, _: JobId) -> Result<BTreeMap<EnvKey, Secret>, EnvironmentError> {
        Ok(BTreeMap::new())
    }
}
