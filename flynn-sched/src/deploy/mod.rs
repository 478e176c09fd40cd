//! How an app gets from one release to another.

mod all_at_once;
mod cause;
mod go_back;
mod rolling;
mod rollout;

use std::fmt;

use flynn_core::Timestamp;
use flynn_core::name::ProcessName;
use flynn_core::noun::Strategy;

pub use all_at_once::AllAtOnce;
pub use cause::Cause;
pub use go_back::GoBack;
pub use rolling::Rolling;
pub use rollout::{Condition, Instance, Pair, Rollout};

/// Decides how a deployment goes on. An implementation is a pure function of its arguments.
///
/// It is asked for one step at a time. What follows from the step is put into the rollout, and it is asked
/// again, until it answers with `WaitUntil`, `Done` or `Abort`. It is also asked whenever anything changed,
/// so it keeps nothing to itself: all progress lives in the [`Rollout`].
pub trait DeployStrategy: Send + Sync + fmt::Debug {
    /// The next step of `rollout` at `now`.
    fn step(&self, rollout: &Rollout, now: Timestamp) -> Step;
}

/// A step of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Start instances of the release that is to serve.
    Start {
        /// Of this process type.
        process: ProcessName,
        /// So many.
        count: u32,
    },
    /// Stop instances: those that do not serve first, then those with the highest numbers.
    Stop {
        /// Of which release.
        side: Side,
        /// Of this process type.
        process: ProcessName,
        /// So many.
        count: u32,
    },
    /// Send this share of the requests to the release that is to serve, in percent.
    Shift(u8),
    /// Nothing is to be done until an instance changes, or until this time.
    WaitUntil(Timestamp),
    /// The release serves.
    Done,
    /// The release cannot serve.
    Abort(Cause),
}

/// One of the two releases of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The release that serves so far.
    Old,
    /// The release that is to serve.
    New,
}

/// The strategy that a deployment names; none if a driver outside the controller decides.
pub fn strategy_of(strategy: &Strategy) -> Option<Box<dyn DeployStrategy>> {
    match strategy {
        Strategy::AllAtOnce => Some(Box::new(AllAtOnce)),
        Strategy::OneByOne => Some(Box::new(Rolling::ONE_BY_ONE)),
        Strategy::OneDownOneUp => Some(Box::new(Rolling::ONE_DOWN_ONE_UP)),
        Strategy::InBatches { size } => Some(Box::new(Rolling::in_batches(*size))),
        _ => None,
    }
}
