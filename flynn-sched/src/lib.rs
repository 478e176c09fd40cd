//! Flynn's controller: formations and deployments become jobs, and jobs and builds get nodes.
//!
//! Every decision is a pure function, so that it can be tested, replayed and embedded by itself:
//!
//! * [`placement`] chooses nodes, and says why not: by resources, GPUs, labels, neighbours, spreading and priorities;
//! * [`deploy::DeployStrategy`] takes an app from one release to another;
//! * [`pass()`] decides everything the controller does, from a snapshot, what was observed, and the time.
//!
//! [`Controller`] is the thin driver around the pass: it campaigns for the controller's seat, follows the
//! store, and commits what the pass planned.
//!
//! What is not here: GPUs, neighbours and priorities in the controller, since no noun asks for them; autoscaling,
//! canary and blue-green, since routes have no weights; moving instances off a draining node, replacing instances that run but fail
//! their check, and bounding how much is replaced at a time after the loss of many nodes. A deployment with
//! an external strategy is left alone, also when its driver is gone.

mod controller;
pub mod deploy;
mod pass;
pub mod placement;
mod seed;

pub use controller::{Config, Controller, ControllerError};
pub use pass::{DEFAULT_RESOURCES, Draft, Marks, Observed, Plan, Policy, STABLE_AFTER, pass};
