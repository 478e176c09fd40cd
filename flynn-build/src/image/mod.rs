//! Layers, processes and the documents of an image (OCI image specification 1.1).

mod documents;
mod layer;
mod processes;
mod search;

pub use documents::{Descriptor, ImageSpec};
pub use layer::LayerFiles;
pub use processes::{process_type, process_types};

pub(crate) use documents::architecture;
pub(crate) use search::layer_file;

/// User and group that apps and their builds run as.
pub const OWNER: (u32, u32) = (1000, 1000);
