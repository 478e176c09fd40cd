//! How good a node is for a job.

mod fragmentation;
mod gpu;
mod random;
mod spread;
mod vector;

use std::fmt;

use flynn_core::value::Devices;

use super::{Demand, Site};

pub use fragmentation::{Expected, Fragmentation};
pub use gpu::{GpuClustering, GpuPacking};
pub use random::Random;
pub use spread::SpreadOut;
pub use vector::{BestFit, DotProduct, Yardstick};

/// How good a node is for a job; the higher, the better.
pub type Score = i64;

/// One point of a [`Score`]. A policy gives 0 to 100 points, and wishes are weighed against that.
pub const POINT: Score = 1_000;

/// Says how good nodes are. An implementation is a pure function of its arguments.
///
/// It is asked only about nodes on which the job fits. Of equally good nodes the first in the order of the cluster is
/// taken.
///
/// ```
/// use flynn_sched::placement::{Demand, POINT, Policy, Score, Site};
///
/// /// Prefers nodes with few jobs.
/// #[derive(Debug)]
/// struct Quiet;
///
/// impl Policy for Quiet {
///     fn score(&self, _: &Demand, site: &Site, _: Asked) -> Score {
///         100 * POINT / (1 + site.residents().len() as Score)
///     }
/// }
/// # use flynn_sched::placement::Asked;
/// ```
pub trait Policy: Send + Sync + fmt::Debug {
    /// The score of `site` for a job that asks for `demand`.
    fn score(&self, demand: &Demand, site: &Site, asked: Asked) -> Score;

    /// The GPUs of `site` that the job should have; nothing if there are too few.
    fn devices(&self, demand: &Demand, site: &Site, asked: Asked) -> Option<Devices> {
        let _ = asked;
        site.free().gpus.tightest(demand.gpus)
    }

    /// A number about a node by itself that [`Policy::score`] needs, kept for as long as the node does not change.
    fn gauge(&self, site: &Site) -> f64 {
        let _ = site;
        0.0
    }

    /// Whether the score of a node is the same until the node changes. If not, every node is looked at every time.
    fn lasts(&self) -> bool {
        true
    }

    /// Whether, before any score, the node with the fewest instances of the same group is taken.
    fn keeps_apart(&self) -> bool {
        false
    }
}

/// Beside demand and node, what a score may depend on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// What [`Policy::gauge`] said of the node.
    pub gauge: f64,
    /// A number that is another one for each request. A policy that [lasts](Policy::lasts) must not use it.
    pub draw: u64,
}
