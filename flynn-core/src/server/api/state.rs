use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Edge, Readiness, Streams};
use crate::api::Problem;
use crate::name::{HostPattern, ProcessName};
use crate::noun::{AppId, ProcessType, Strategy};
use crate::port::{BlobReader, Blobs, EventLog, History, KeyRing, NodeLink, Presence, Store};
use crate::server::Authenticator;
use crate::time::Clock;
use crate::value::{Digest, Resources};
use crate::view::View;

/// What the API works on. Cloning shares it.
#[derive(Clone)]
pub struct ApiState {
    /// Where changes are committed.
    pub store: Arc<dyn Store>,
    /// The events of the same store.
    pub events: Arc<dyn EventLog>,
    /// A view of everything in that store, which answers reads. Its owner drives its follower.
    pub view: View,
    /// What is over.
    pub history: Arc<dyn History>,
    /// When nodes and routers were heard of.
    pub presence: Arc<dyn Presence>,
    /// Seals and opens the values of configurations.
    pub key_ring: Arc<dyn KeyRing>,
    /// Where uploads go.
    pub blobs: Arc<dyn Blobs>,
    /// What makes a source tree of an upload.
    pub sources: Arc<dyn SourceIntake>,
    /// The way to the jobs.
    pub links: Arc<dyn NodeLink>,
    /// Tells who asks. It has to know the tokens of the store.
    pub authenticator: Arc<dyn Authenticator>,
    /// By which tokens expire and ids are stamped: the clock of the store.
    pub clock: Arc<dyn Clock>,
    /// What can be set.
    pub options: ApiOptions,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("options", &self.options).finish_non_exhaustive()
    }
}

/// How the API behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ApiOptions {
    /// The domain below which every app gets its default host, `NAME.DOMAIN`.
    pub domain: HostPattern,
    /// Where the routers are found from outside, for the URLs of apps; unknown by default.
    pub edge: Option<Edge>,
    /// The most bytes of a JSON body; 1 MiB by default.
    pub body_limit: usize,
    /// How long such a body may take to arrive; 30 seconds by default.
    pub body_deadline: Duration,
    /// The most bytes of an uploaded source; 1 GiB by default.
    pub upload_limit: u64,
    /// The most bytes of an uploaded image; 4 GiB by default.
    pub image_limit: u64,
    /// How long an upload may stand still; 30 seconds by default.
    pub upload_idle: Duration,
    /// What a build asks for, and may not exceed; 500 thousandths of a core, 1 GiB of memory, 4 GiB of disk and
    /// 2,048 processes by default.
    pub build_resources: Resources,
    /// How the instances of an app are replaced by a change of its configuration or a rollback; one by one by default.
    pub strategy: Strategy,
    /// Whether `/metrics` answers everybody, and not only who may read everything; not by default.
    pub open_metrics: bool,
    /// What has no end of its own. Who stops the server closes it first.
    pub streams: Streams,
    /// What the host knows to be wrong; nothing by default.
    pub readiness: Readiness,
}

impl ApiOptions {
    /// The defaults, for apps below `domain`.
    pub fn new(domain: HostPattern) -> Self {
        Self {
            domain,
            edge: None,
            body_limit: 1 << 20,
            body_deadline: Duration::from_secs(30),
            upload_limit: 1 << 30,
            image_limit: 4 << 30,
            upload_idle: Duration::from_secs(30),
            build_resources: Resources { cpu_millis: 500, memory_bytes: 1 << 30, disk_bytes: 4 << 30, pids: 2_048 },
            strategy: Strategy::OneByOne,
            open_metrics: false,
            streams: Streams::default(),
            readiness: Readiness::default(),
        }
    }
}

/// Makes source trees and images of what is uploaded.
#[async_trait]
pub trait SourceIntake: Send + Sync {
    /// Reads a tar archive, plain or compressed with gzip, to its end, and stores the source tree in it so that a
    /// build can be made from it. Returns the tree's digest, under which it is durable.
    ///
    /// # Errors
    /// What the caller is told: `invalid` for an archive that is no source tree, `unavailable` for a tree that
    /// could not be stored.
    async fn take(&self, app: AppId, archive: BlobReader) -> Result<Digest, Problem>;

    /// Reads a tar archive of an OCI image layout, plain or compressed with gzip, to its end, and stores the image with
    /// this tag, or the only one. All of the image has to be in the archive: what the caller merely names is not taken
    /// from what others have uploaded.
    ///
    /// # Errors
    /// What the caller is told: `invalid` for a layout without an image that can be run, `unavailable` for one that
    /// could not be stored. What takes in no images answers `unsupported`.
    async fn take_image(&self, _: AppId, _archive: BlobReader, _tag: Option<String>) -> Result<TakenImage, Problem> {
        Err(Problem::new(501, "unsupported", "Not Implemented", "no images are taken here: deploy the source instead"))
    }
}

/// An image that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenImage {
    /// The digest of its manifest, under which it is durable with all that it names.
    pub image: Digest,
    /// What it runs.
    pub processes: BTreeMap<ProcessName, ProcessType>,
}
