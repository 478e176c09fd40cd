use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::error::BoxError;
use crate::noun::{AppId, JobId};

/// Gives sandboxes, in which something is built, a network. Both methods can be repeated.
#[async_trait]
pub trait SandboxNetwork: Send + Sync {
    /// A network namespace for this sandbox, from which these servers can be reached, each a name or address and a
    /// port. They are where packages come from, and may be in a private network.
    ///
    /// # Errors
    /// The node cannot give one at present. Nothing is left behind.
    async fn attach(&self, sandbox: JobId, app: AppId, servers: &BTreeSet<(String, u16)>) -> Result<PathBuf, BoxError>;

    /// Takes it away. A sandbox without one is no error.
    ///
    /// # Errors
    /// It could not be taken away.
    async fn detach(&self, sandbox: JobId) -> Result<(), BoxError>;
}
