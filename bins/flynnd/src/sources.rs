use std::sync::Arc;

use async_trait::async_trait;
use flynn_build::oci::{Layout, LayoutError, LayoutLimits};
use flynn_build::source::{Intake, SourceError, SourceTree};
use flynn_core::AppId;
use flynn_core::api::Problem;
use flynn_core::name::ProcessName;
use flynn_core::port::{BlobReader, Blobs};
use flynn_core::server::api::{SourceIntake, TakenImage};
use flynn_core::value::Digest;

use crate::disk;

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

    async fn take_image(&self, _: AppId, archive: BlobReader, tag: Option<String>) -> Result<TakenImage, Problem> {
        let layout = Layout::receive(archive, &self.intake.spool, LayoutLimits::default()).await;
        let layout = layout.map_err(image_problem)?;
        let checked = tokio::task::spawn_blocking(move || layout.image(tag.as_deref())).await;
        let checked =
            checked.map_err(|error| Problem::new(500, "internal", "Internal Server Error", error.to_string()))?;
        let stored = checked.map_err(image_problem)?.store(&*self.blobs).await.map_err(image_problem)?;
        let web = ProcessName::new("web").map_err(|error| Problem::invalid("image", error.to_string()))?;
        Ok(TakenImage { image: stored.image, processes: [(web, stored.web)].into() })
    }
}

fn image_problem(error: LayoutError) -> Problem {
    match error {
        LayoutError::Unreadable(error) => problem(error),
        error @ LayoutError::Blobs(_) => {
            let detail = format!("{:#}", anyhow::Error::from(error));
            Problem::new(503, "unavailable", "Service Unavailable", detail)
        }
        error => Problem::invalid("image", error.to_string()),
    }
}

fn problem(error: SourceError) -> Problem {
    let is_authors =
        matches!(error, SourceError::Invalid { .. } | SourceError::TooLarge { .. } | SourceError::Damaged { .. });
    let error = anyhow::Error::from(error);
    let detail = format!("{error:#}");
    match disk::full(&error) {
        _ if is_authors => Problem::invalid("source", detail),
        Some(advice) => Problem::new(507, "disk_full", "Insufficient Storage", advice),
        None => Problem::new(503, "unavailable", "Service Unavailable", detail),
    }
}
