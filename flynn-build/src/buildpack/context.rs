use std::future::Future;

use flynn_core::port::Blobs;
use flynn_core::value::Digest;

use crate::base::BaseImage;
use crate::builder::{BuildError, BuildLog, BuildRequest};
use crate::detect::Plan;
use crate::keys::{Key, Keys};
use crate::sandbox::{Sandboxes, Step};
use crate::settings::Settings;
use crate::source::SourceTree;

/// What a buildpack has to work with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is to be built.
    pub request: &'a BuildRequest,
    /// The source tree.
    pub source: &'a SourceTree,
    /// The source tree as a layer: everything at `/app`, owned by 1000:1000.
    pub source_layer: Digest,
    /// What the buildpack said in `detect`.
    pub plan: &'a Plan,
    /// What to build in, of the kind that the buildpack said.
    pub build_base: &'a BaseImage,
    /// What the app will run in.
    pub run_base: &'a BaseImage,
    /// What the operator decided.
    pub settings: &'a Settings,
    /// The build's log.
    pub log: &'a BuildLog<'a>,
    pub(crate) blobs: &'a dyn Blobs,
    pub(crate) keys: &'a Keys,
    pub(crate) sandboxes: &'a Sandboxes,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("request", self.request).field("plan", self.plan).finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// Runs a step in a sandbox and makes what it wrote into a layer.
    ///
    /// # Errors
    /// `Failed` with the step's last words if its command did not end with 0.
    pub async fn run(&self, step: Step) -> Result<Digest, BuildError> {
        self.log.begin(step.name);
        self.sandboxes.run(self.request, step, self.log).await
    }

    /// The layer that is known under `key` and still there; else what `make` makes, known under `key` from then on.
    /// The boolean says whether it was known.
    ///
    /// # Errors
    /// Those of `make`, and `Unavailable`.
    pub async fn layer<F>(&self, key: Key, make: impl FnOnce() -> F + Send) -> Result<(Digest, bool), BuildError>
    where
        F: Future<Output = Result<Digest, BuildError>> + Send,
    {
        if let Some(digest) = self.keys.layer(&key, self.blobs).await? {
            return Ok((digest, true));
        }
        let digest = make().await?;
        self.keys.keep(&key, &digest).await?;
        Ok((digest, false))
    }
}
