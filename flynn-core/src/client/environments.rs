use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::call::{Caller, unreadable};
use super::{Credential, Endpoint, RemoteOptions};
use crate::error::StoreError;
use crate::name::EnvKey;
use crate::noun::JobId;
use crate::port::Secret;
use crate::wire::peer::{Environment, decode};

/// Opens the environments of jobs, as the node that they are placed on.
#[derive(Clone)]
pub struct JobEnvs {
    caller: Arc<Caller>,
}

impl fmt::Debug for JobEnvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobEnvs").field("endpoint", &self.caller.endpoint).finish_non_exhaustive()
    }
}

impl JobEnvs {
    /// Asks the server at `endpoint`. Nothing is sent yet, so the server need not be there.
    ///
    /// # Errors
    /// The system's part of an HTTP client cannot be made.
    pub fn connect(endpoint: Endpoint, credential: Credential, options: RemoteOptions) -> Result<Self, StoreError> {
        Caller::new(endpoint, credential, options).map(|caller| Self { caller: Arc::new(caller) })
    }

    /// The environment of `job`, opened. It does not have what the platform itself adds.
    ///
    /// # Errors
    /// `NotFound` if there is no such job, `NotAllowed` if it is placed on another node, `Internal` if the
    /// server's keys do not open it, `Unavailable`.
    pub async fn open(&self, job: JobId) -> Result<BTreeMap<EnvKey, Secret>, StoreError> {
        const OPEN: &str = "open the environment";
        let answer = self.caller.get(OPEN, &format!("jobs/{job}/env")).await?;
        let Environment { env } = decode("environment", &answer).map_err(unreadable(OPEN))?;
        Ok(env)
    }
}
