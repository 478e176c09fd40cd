//! Whether the instances of a job answer.

mod probe;
mod tally;

pub use probe::{ProbeError, Prober};
pub use tally::{Outcome, Tally};
