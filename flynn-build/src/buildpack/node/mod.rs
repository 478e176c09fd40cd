//! Node.js: the version from the npm registry, packages by npm.

mod inputs;
mod npm;
mod pack;
mod package;
mod release;
mod versions;

pub use pack::NodePack;
