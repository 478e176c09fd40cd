//! The HTTP proxy: takes requests from clients and brings them to instances.

mod balance;
mod body;
mod conduct;
mod counts;
mod direct;
mod failure;
mod gate;
mod handler;
mod headers;
#[cfg(feature = "tls")]
mod http2;
mod idle;
mod journal;
mod link;
mod page;
mod retry;
#[cfg(feature = "tls")]
mod secure;
mod security;
mod serve;
mod settings;
mod town;
mod tunnel;
mod upstream;

pub(crate) use conduct::Conduct;
pub use counts::Counts;
pub(crate) use direct::Lanes;
pub use failure::Failure;
pub(crate) use idle::IdleConnections;
pub(crate) use retry::RetryBudget;
pub use serve::{Drained, Proxy};
pub use settings::{Engine, ProxySettings};
