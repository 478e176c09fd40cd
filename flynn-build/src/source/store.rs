use flynn_core::port::{Blob, BlobReader, Blobs};

use super::blocking::{WaitingReader, read_blocking};
use super::{Intake, SourceError, SourceTree, TreePath};

impl SourceTree {
    /// Takes in an archive as it arrives: [`from_archive`](Self::from_archive) without blocking.
    ///
    /// # Errors
    /// Those of `from_archive`.
    pub async fn receive(archive: BlobReader, intake: &Intake) -> Result<Self, SourceError> {
        let intake = intake.clone();
        read_blocking(archive, move |reader| Self::from_archive(reader, &intake))
            .await
            .map_err(|error| SourceError::unavailable("receive source", error))?
    }

    /// Packs the tree into a blob store. When it returns, the blob is durable.
    ///
    /// # Errors
    /// `Blobs`.
    pub async fn store(&self, blobs: &dyn Blobs) -> Result<Blob, SourceError> {
        let packed: BlobReader = Box::new(WaitingReader::new(self.pack()));
        blobs.put(packed, None).await.map_err(SourceError::Blobs)
    }

    /// Puts the tree into a blob store as a layer of an image: beneath `folder`, owned by `owner`. When it returns,
    /// the blob is durable.
    ///
    /// # Errors
    /// `Blobs`.
    pub async fn store_layer(
        &self,
        folder: &TreePath,
        owner: (u32, u32),
        blobs: &dyn Blobs,
    ) -> Result<Blob, SourceError> {
        let packed: BlobReader = Box::new(WaitingReader::new(self.pack_beneath(Some(folder), owner)));
        blobs.put(packed, None).await.map_err(SourceError::Blobs)
    }
}
