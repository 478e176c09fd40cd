//! Node.js: the version from the npm registry, packages by npm, yarn or pnpm.

mod commands;
mod inputs;
mod installer;
mod npm;
mod pack;
mod package;
mod packages;
mod registry;
mod release;
mod tool;
mod versions;

pub use pack::NodePack;
