//! Flynn's controller: formations and deployments become jobs, and jobs and builds get nodes.
//!
//! Every decision is a pure function, so that it can be tested, replayed and embedded by itself:
//!
//! * [`place::Placer`] chooses nodes, [`place::Spread`] by default;
//! * [`placement`] plans large clusters: GPUs, labels, neighbours, spreading and priorities, with an index;
//! * [`deploy::DeployStrategy`] takes an app from one release to another;
//! * [`pass()`] decides everything the controller does, from a snapshot, what was observed, and the time.
//!
//! [`Controller`] is the thin driver around the pass: it campaigns for the controller's seat, follows the
//! store, and commits what the pass planned.
//!
//! What is not here: the rules of [`placement`] in the controller, since no noun asks for them; autoscaling,
//! canary and staged strategies, moving instances off a draining node, replacing instances that run but fail
//! their check, and bounding how much is replaced at a time after the loss of many nodes. A deployment with
//! an external strategy is left alone, also when its driver is gone.

mod controller;
pub mod deploy;
mod pass;
pub mod place;
pub mod placement;
mod seed;

pub use controller::{Config, Controller, ControllerError};
pub use pass::{DEFAULT_RESOURCES, Draft, Marks, Observed, Plan, Policy, STABLE_AFTER, pass};
