//! The agent and the router of this machine: processes of their own, which outlive the control plane.

mod bound;
mod child;
mod programs;
mod supervise;

pub(crate) use bound::bound_logs;
pub(crate) use child::Child;
pub(crate) use programs::programs;
pub(crate) use supervise::supervise;
