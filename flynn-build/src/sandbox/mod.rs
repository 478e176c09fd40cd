//! Commands in containers of their own, and what they write as layers.

mod caches;
mod lines;
mod network;
mod record;
mod run;
mod step;
mod underway;
mod words;

pub use network::SandboxNetwork;
pub use run::{SandboxPorts, Sandboxes};
pub use step::Step;
