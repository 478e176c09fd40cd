//! Networks of builds: they reach package servers, also those in private networks, and neither apps nor the node.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use flynn_core::port::SandboxNetwork;
use flynn_core::{AppId, BoxError, JobId};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{BridgeNetwork, Destination, Network};

/// How long a name may take. What is found later is not waited for, and a build without it says what it misses.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of how many addresses it is remembered that names led to them. With more, it begins again.
const MOST: usize = 256;

/// Where the names of package servers led. Those of a build that goes on stay open when a name leads elsewhere.
#[derive(Debug, Default)]
pub(super) struct Servers(Mutex<BTreeSet<Destination>>);

impl Servers {
    /// All that is to be open, with these servers where they are at this time.
    async fn with(&self, servers: &BTreeSet<(String, u16)>) -> Result<Vec<Destination>, BoxError> {
        let mut lookups = JoinSet::new();
        for server in servers.clone() {
            lookups.spawn(async move { timeout(PATIENCE, tokio::net::lookup_host(server)).await });
        }
        let mut addresses = BTreeSet::new();
        while let Some(looked_up) = lookups.join_next().await {
            match looked_up {
                Ok(Ok(Ok(found))) => addresses.extend(found.filter_map(destination)),
                // Whether that matters depends on what the build needs.
                Ok(Ok(Err(error))) => tracing::debug!(%error, "a package server is not known by its name"),
                Ok(Err(_)) => tracing::debug!("the name of a package server was not found in time"),
                Err(panic) => return Err(panic.into()),
            }
        }
        let mut found = self.0.lock().await;
        if found.len() + addresses.len() > MOST {
            found.clear();
        }
        found.extend(addresses);
        Ok(found.iter().copied().collect())
    }
}

/// What is on this machine is not opened, whatever its name.
fn destination(found: SocketAddr) -> Option<Destination> {
    match found {
        SocketAddr::V4(found) if *found.ip() != Ipv4Addr::UNSPECIFIED && !found.ip().is_loopback() => {
            Some(Destination::service(*found.ip(), found.port()))
        }
        _ => None,
    }
}

#[async_trait]
impl SandboxNetwork for BridgeNetwork {
    async fn attach(&self, sandbox: JobId, app: AppId, servers: &BTreeSet<(String, u16)>) -> Result<PathBuf, BoxError> {
        self.allow(&self.servers.with(servers).await?).await?;
        Ok(Network::attach(self, sandbox, app).await?.namespace)
    }

    async fn detach(&self, sandbox: JobId) -> Result<(), BoxError> {
        Ok(Network::detach(self, sandbox).await?)
    }
}
