//! Commands in containers of their own, and what they write as layers.

mod caches;
mod lines;
mod meter;
mod record;
mod run;
mod step;
mod underway;
mod words;

pub use run::{SandboxPorts, Sandboxes};
pub use step::Step;

pub use flynn_core::port::SandboxNetwork;
