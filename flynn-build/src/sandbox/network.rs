use std::path::PathBuf;

use async_trait::async_trait;
use flynn_core::{AppId, BoxError, JobId};

/// Gives sandboxes a network. Both methods can be repeated.
#[async_trait]
pub trait SandboxNetwork: Send + Sync {
    /// A network namespace for this sandbox, from which package registries can be reached.
    ///
    /// # Errors
    /// The node cannot give one at present. Nothing is left behind.
    async fn attach(&self, sandbox: JobId, app: AppId) -> Result<PathBuf, BoxError>;

    /// Takes it away. A sandbox without one is no error.
    ///
    /// # Errors
    /// It could not be taken away.
    async fn detach(&self, sandbox: JobId) -> Result<(), BoxError>;
}
