//! From a source tree to an image.

mod error;
mod images;
mod kept;
mod log;
mod port;

pub use error::BuildError;
pub use images::{ImageBuilder, ImageBuilderParts};
pub use log::BuildLog;
pub use port::{Artifact, BuildRequest, Builder};

pub(crate) use images::source_problem;
