//! The controller's pass, driven to convergence in a simulated cluster.

mod app_life;
mod convergence;
mod deployments;
mod faults;
mod placement;
mod release_command;
mod sim;
mod stopping;
