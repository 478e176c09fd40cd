//! The HTTP proxy: takes requests from clients and brings them to instances.

mod balance;
mod body;
mod failure;
mod gate;
mod handler;
mod headers;
mod idle;
mod journal;
mod link;
mod serve;
mod settings;
mod tunnel;
mod upstream;

pub use failure::Failure;
pub(crate) use idle::IdleConnections;
pub use serve::{Drained, Proxy};
pub use settings::ProxySettings;
