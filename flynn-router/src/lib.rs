//! Flynn's router: brings requests from the edge to the healthy instances of apps.
//!
//! It serves HTTP/1.0 and HTTP/1.1 without TLS. It does not speak HTTP/2 or TLS, does not forward TCP
//! connections, and keeps no client with one instance.

pub mod access;
pub mod follow;
pub mod proxy;
pub mod table;
