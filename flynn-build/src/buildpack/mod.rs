//! What knows how to build one language.

mod context;
mod node;
mod port;
mod procfile;
mod python;
mod site;

pub use context::Context;
pub use node::NodePack;
pub use port::{Buildpack, Built};
pub use procfile::ProcfilePack;
pub use python::PythonPack;
pub use site::SitePack;
