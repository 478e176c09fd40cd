//! The HTTP proxy: takes requests from clients and brings them to instances.

mod balance;
mod body;
mod conduct;
mod counts;
mod failure;
mod gate;
mod handler;
mod headers;
mod idle;
mod journal;
mod link;
mod page;
mod retry;
mod serve;
mod settings;
mod tunnel;
mod upstream;

pub(crate) use conduct::Conduct;
pub use counts::Counts;
pub use failure::Failure;
pub(crate) use idle::IdleConnections;
pub(crate) use retry::RetryBudget;
pub use serve::{Drained, Proxy};
pub use settings::ProxySettings;
