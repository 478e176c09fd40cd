//! What knows how to build one language.

mod context;
mod go;
mod node;
mod port;
mod procfile;
mod python;
mod site;

use std::sync::Arc;

pub use context::Context;
pub use go::GoPack;
pub use node::NodePack;
pub use port::{Buildpack, Built};
pub use procfile::ProcfilePack;
pub use python::PythonPack;
pub use site::SitePack;

/// All buildpacks of this crate, in the order in which they are asked.
pub fn all() -> Vec<Arc<dyn Buildpack>> {
    vec![Arc::new(PythonPack), Arc::new(NodePack), Arc::new(GoPack), Arc::new(SitePack), Arc::new(ProcfilePack)]
}
