//! The router over real sockets on loopback.

mod churn;
mod cluster;
mod drain;
mod failures;
mod follow;
mod instance;
mod messages;
mod refusals;
mod rig;
mod table;
mod upgrade;
