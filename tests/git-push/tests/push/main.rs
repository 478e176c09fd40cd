//! The git service over loopback, with the real git client and real git behind it.

mod client;
mod deploy;
mod handler;
mod leave;
mod maintain;
mod refuse;
mod transport;
mod user;
mod world;
