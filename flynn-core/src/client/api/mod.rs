mod access;
mod apps;
mod builds;
mod certificates;
mod cluster;
mod content;
mod error;
mod follow;
mod processes;
mod releases;
mod routes;
mod sse;
mod stream;
mod transport;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use error::ApiError;
pub use follow::{EventNews, Events, LogNews, Logs};
pub use stream::{Joined, JoinedInput, JoinedOutput};

use super::{Credential, Endpoint};
use crate::api::{Page, PageQuery};
use transport::Transport;

/// The public API of a cluster. Cloning shares its connections.
///
/// An app, team, node or user is named by its name or its id. Every call has a deadline. Each change carries an
/// `Idempotency-Key` of its own, and is sent again a few times within its deadline when its connection breaks; an
/// upload is not.
///
/// Words such as a `state` may be ones that this release does not know.
#[derive(Clone)]
pub struct Api {
    transport: Arc<Transport>,
    expected: Option<u64>,
}

/// How patient an [`Api`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiOptions {
    /// The longest that a call may take; 30 seconds by default.
    pub deadline: Duration,
    /// The longest that the upload of a source tree may take; 15 minutes by default.
    pub upload_deadline: Duration,
    /// The longest answer in bytes; 32 MiB by default.
    pub longest: usize,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), upload_deadline: Duration::from_secs(900), longest: 32 << 20 }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("endpoint", &self.transport.endpoint).finish_non_exhaustive()
    }
}

impl Api {
    /// The API that is served at `endpoint`. Nothing is sent yet, so the server need not be there.
    ///
    /// # Errors
    /// `Failed` if the system's part of an HTTP client cannot be made.
    pub fn connect(endpoint: Endpoint, credential: Credential) -> Result<Self, ApiError> {
        Self::connect_with(endpoint, credential, ApiOptions::default())
    }

    /// The same, with another patience than the default.
    ///
    /// # Errors
    /// `Failed` if the system's part of an HTTP client cannot be made.
    pub fn connect_with(endpoint: Endpoint, credential: Credential, options: ApiOptions) -> Result<Self, ApiError> {
        let transport = Arc::new(Transport::new(endpoint, credential, options)?);
        Ok(Self { transport, expected: None })
    }

    /// Where it is served.
    pub fn endpoint(&self) -> &Endpoint {
        &self.transport.endpoint
    }

    /// The same API, whose changes are made only to an object that still has this `version`. Others are a `Conflict`.
    #[must_use]
    pub fn expecting(&self, version: u64) -> Self {
        Self { expected: Some(version), ..self.clone() }
    }

    /// The first `most` entries of a list, however many pages they fill.
    ///
    /// # Errors
    /// Those of `page`.
    pub async fn collect<T, F>(most: usize, mut page: impl FnMut(PageQuery) -> F) -> Result<Vec<T>, ApiError>
    where
        F: Future<Output = Result<Page<T>, ApiError>>,
    {
        const LARGEST_PAGE: usize = 200;
        let mut entries = Vec::new();
        let mut cursor = None;
        while entries.len() < most {
            let limit = u32::try_from((most - entries.len()).min(LARGEST_PAGE)).ok();
            let answer = page(PageQuery { cursor, limit }).await?;
            entries.extend(answer.items);
            cursor = answer.next;
            if cursor.is_none() {
                break;
            }
        }
        entries.truncate(most);
        Ok(entries)
    }
}
