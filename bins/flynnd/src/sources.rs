use std::sync::Arc;

use async_trait::async_trait;
use flynn_build::source::{Intake, SourceError, SourceTree};
use flynn_core::AppId;
use flynn_core::api::Problem;
use flynn_core::port::{BlobReader, Blobs};
use flynn_core::server::api::SourceIntake;
use flynn_core::value::Digest;

/// Makes source trees of uploads, within the limits of those that are pushed.
pub(crate) struct Uploads {
    pub(crate) intake: Intake,
    pub(crate) blobs: Arc<dyn Blobs>,
}

#[async_trait]
impl SourceIntake for Uploads {
    async fn take(&self, _: AppId, archive: BlobReader) -> Result<Digest, Problem> {
        let tree = SourceTree::receive(archive, &self.intake).await.map_err(problem)?;
        let stored = tree.store(&*self.blobs).await.map_err(problem)?;
        Ok(stored.digest)
    }
}

fn problem(error: SourceError) -> Problem {
    let is_authors =
        matches!(error, SourceError::Invalid { .. } | SourceError::TooLarge { .. } | SourceError::Damaged { .. });
    let detail = format!("{:#}", anyhow::Error::from(error));
    match is_authors {
        true => Problem::invalid("source", detail),
        false => Problem::new(503, "unavailable", "Service Unavailable", detail),
    }
}
