use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::name::ProcessName;
use flynn_core::noun::ProcessType;
use flynn_core::port::LogSink;
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, BuildId};

use super::BuildError;

/// Makes images out of source trees.
#[async_trait]
pub trait Builder: Send + Sync {
    /// Builds the image. When it returns, the image's blobs are durable.
    ///
    /// Dropping the future abandons the build; [`clear`](Self::clear) then stops and takes away what it left.
    ///
    /// # Errors
    /// The failing step, with a reason for whoever wrote the source.
    async fn build(&self, request: BuildRequest, log: &dyn LogSink) -> Result<Artifact, BuildError>;

    /// Stops and takes away everything that a build left whose future was dropped. Called after a build that ended
    /// by itself, it holds what is kept for the next ones to its limits.
    ///
    /// # Errors
    /// `Unavailable` if something could not be taken away; the next call tries again.
    async fn clear(&self, build: BuildId) -> Result<(), BuildError>;

    /// The same for all builds, those of earlier processes included. No build is under way meanwhile.
    ///
    /// # Errors
    /// Those of `clear`.
    async fn clear_all(&self) -> Result<(), BuildError>;
}

/// What is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// The build; its log lines carry it.
    pub build: BuildId,
    /// The app. Apps share no caches.
    pub app: AppId,
    /// The source tree, packed, in the blob store.
    pub source: Digest,
    /// What each step may use; zero is no limit.
    pub resources: Resources,
    /// What is to stay free of the node's disk, in bytes: with less left, nothing is begun.
    pub reserve: u64,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The image manifest.
    pub image: Digest,
    /// What can be run.
    pub processes: BTreeMap<ProcessName, ProcessType>,
    /// Whether nothing had to be built, since the same tree was built before.
    pub reused: bool,
}
