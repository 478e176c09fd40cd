//! Images that somebody else made: the OCI image layout, read without trust.
//!
//! A [`Layout`] is a folder or a tar archive with `oci-layout`, `index.json` and `blobs/` (OCI image specification 1.1,
//! "Image Layout"). It comes in as a [`SourceTree`](crate::source::SourceTree), so that nothing of it touches the file
//! system by its name. [`Layout::image`] chooses an image and checks all of it: every digest and every length, that this
//! machine can run it, and that its layers unpack to what its configuration says, within [`LayoutLimits`].
//!
//! Not here: layers compressed with zstd, layers and configurations that lie elsewhere than in the layout, signatures.

mod content;
mod documents;
mod error;
mod image;
mod layout;
mod web;

pub use error::LayoutError;
pub use image::{CheckedImage, StoredImage};
pub use layout::{Layout, LayoutLimits};

use web::web_process;
