//! What serves a store to other processes over HTTP.
//!
//! Nothing here listens: a host mounts the [routers](peer::router) on a server of its own and says, by an
//! [`Authenticator`], whom it believes. [`axum::Router`] and [`axum::http`] are in the signatures on purpose,
//! since they are what a host composes.

pub mod api;
mod authenticator;
pub mod link;
pub mod peer;
mod problem;
mod socket;
mod token;

pub use authenticator::{AuthError, Authenticator, Caller, FirstOf};
pub use socket::{PeerUid, SocketAuthenticator};
pub use token::TokenAuthenticator;
