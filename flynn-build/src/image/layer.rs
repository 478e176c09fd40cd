use flynn_core::port::Blobs;
use flynn_core::value::Digest;

use crate::builder::BuildError;
use crate::source::header_into;

/// A layer out of folders and small files, the same bytes for the same content.
///
/// ```
/// use flynn_build::image::LayerFiles;
///
/// let layer = LayerFiles::default().folder("srv", 0o755, (0, 0)).file("srv/index.html", 0o644, (0, 0), b"hello");
/// assert_eq!(layer.clone().into_tar(), layer.into_tar());
/// ```
#[derive(Debug, Clone, Default)]
pub struct LayerFiles {
    tar: Vec<u8>,
}

impl LayerFiles {
    /// Adds a folder. Its parents come from it or from layers beneath.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32, owner: (u32, u32)) -> Self {
        header_into(&mut self.tar, &format!("{path}/"), "", b'5', mode, 0, owner);
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, owner: (u32, u32), content: &[u8]) -> Self {
        header_into(&mut self.tar, path, "", b'0', mode, content.len() as u64, owner);
        self.tar.extend(content);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
        self
    }

    /// The layer as an uncompressed tar archive.
    pub fn into_tar(mut self) -> Vec<u8> {
        self.tar.resize(self.tar.len() + 1024, 0);
        self.tar
    }

    /// Puts the layer into a blob store. When it returns, the layer is durable.
    ///
    /// # Errors
    /// `Unavailable`, blamed on `step`.
    pub async fn store(self, step: &'static str, blobs: &dyn Blobs) -> Result<Digest, BuildError> {
        let content = Box::new(std::io::Cursor::new(self.into_tar()));
        let blob = blobs.put(content, None).await.map_err(|error| BuildError::unavailable(step, error))?;
        Ok(blob.digest)
    }
}
