//! Flynn's router: brings requests from the edge to the healthy instances of apps.
//!
//! Its parts can be used alone:
//!
//! * [`table`]: which target a request has. [`table::Content`] is the table as a value, computed from what the
//!   store holds; [`table::ShardedTable`] is the one that requests read, changed entry by entry.
//! * [`follow`]: keeps a table equal to what the store says, acknowledges it, and keeps the last one on disk.
//! * [`proxy`]: serves HTTP/1.0 and HTTP/1.1 on listeners that its host has bound, upgrades included. The codes
//!   of its error pages stand at [`proxy::Failure`].
//! * [`access`]: one record a request, for the host to write where it likes.
//!
//! * [`rules`]: what else a route does with its requests: redirects, rate limits, stripped prefixes, fields.
//! * `config` (feature `config`): routes from a file in TOML, followed as it changes.
//! * `tls` (feature `tls`): certificates by host, and encrypted connections with HTTP/1.1 and HTTP/2.
//!
//! HTTP/1.1 has two paths: an engine of the router's own for plain requests, and a general implementation for the
//! rest, which [`proxy::Engine`] also chooses for everything. A host serves from its own runtime, or from one
//! runtime for each core ([`proxy::Proxy::serve`]).
//!
//! What one request can rely on: it is sent to a second instance only if the first cannot have received any of
//! it, bodies are never held, and a client that closes its sending half counts as gone.
//!
//! What the router does not do: HTTP/2 without TLS and to instances, TCP routes and the PROXY protocol are absent, and so are sticky
//! clients and weights: the `affinity` of a route is not looked at. Rate limits count all clients together.
//! `100 Continue` comes from the router; other interim answers of an instance are dropped. `CONNECT` is refused.

pub mod access;
#[cfg(feature = "config")]
pub mod config;
pub mod follow;
pub mod proxy;
pub mod rules;
pub mod table;
#[cfg(feature = "tls")]
pub mod tls;
