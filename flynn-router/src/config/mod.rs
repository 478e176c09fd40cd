//! Routes from a file, for a router without a store.
//!
//! ```toml
//! [apps.web]
//! instances = ["127.0.0.1:3000", "127.0.0.1:3001"]
//!
//! [apps.api]
//! instances = ["127.0.0.1:4000"]
//! maintenance = false
//!
//! [[routes]]
//! host = "www.example.com"        # or "*.example.com", or "*" for every host that no other route names
//! app = "web"
//! redirect_https = true
//!
//! [[routes]]
//! host = "*.example.com"
//! path = "/api"                   # "/" if not given; the longest prefix that matches wins
//! app = "api"
//! strip_prefix = true
//! rate = { per_second = 100, burst = 200 }
//! maintenance = false
//! maintenance_page = "<h1>Back at noon</h1>"
//! request_headers = { remove = ["cookie"], set = { x-team = "red" } }
//! response_headers = { remove = ["server"] }
//! ```
//!
//! With feature `tls` there are certificates as well. Their files are read again when they change; a relative name is
//! one beside the configuration.
//!
//! ```toml
//! [[certificate]]
//! chain = "example.pem"           # PEM: the certificate of the hosts, then of each the one that signed it
//! key = "example.key"             # PEM, not encrypted
//! hosts = ["*.example.com"]       # all that the certificate names if not given
//! ```
//!
//! An app without `instances` has none, and its routes answer that. Words that are not known are errors, so that a
//! misspelt rule is not left out in silence.

#[cfg(feature = "tls")]
mod certificates;
#[cfg(not(feature = "tls"))]
#[path = "no_certificates.rs"]
mod certificates;
mod document;
mod follower;
mod parse;

pub use follower::{ConfigError, ConfigFollower};
pub use parse::{ConfigFault, parse};
