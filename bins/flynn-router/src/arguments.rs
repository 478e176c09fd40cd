use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use flynn_core::client::Endpoint;
use flynn_core::noun::RouterId;
use flynn_instance::User;
use tracing::level_filters::LevelFilter;

/// What serves HTTP/1.1.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EngineChoice {
    Direct,
    Reference,
}

/// Bring HTTP requests to the instances of apps.
#[derive(Debug, Clone, Parser)]
#[command(name = "flynn-router", version)]
pub(crate) struct Arguments {
    /// A file in TOML with the routes, in place of a control plane. It is followed as it changes; one with a
    /// fault changes nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "router", "token_file", "directory"])]
    pub(crate) config: Option<PathBuf>,
    /// Where the control plane is: unix:///PATH or http://HOST:PORT
    #[arg(long, visible_alias = "cluster", value_name = "URL", default_value = "unix:///run/flynn/flynnd.sock")]
    pub(crate) store: Endpoint,
    /// The id of this router in the store
    #[arg(long, value_name = "ID", required_unless_present = "config")]
    pub(crate) router: Option<RouterId>,
    /// The file with the router's token; without one, only the users whom the socket trusts get in
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Where to serve HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:80")]
    pub(crate) http: SocketAddr,
    /// Where to serve HTTPS; nowhere if not given
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) https: Option<SocketAddr>,
    /// The folder of the last known table and certificates
    #[arg(long, value_name = "FOLDER", required_unless_present = "config")]
    pub(crate) directory: Option<PathBuf>,
    /// Where the access log goes; to standard output if not given. A full file is set aside as FILE.1, and up to three of
    /// them are kept
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,
    /// Write no access log
    #[arg(long, conflicts_with = "access_log")]
    pub(crate) no_access_log: bool,
    /// How many threads serve; one for each core that it may use if not given
    #[arg(long, value_name = "COUNT")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// What serves HTTP/1.1: the router's own engine, or the general implementation that it is checked against
    #[arg(long, value_name = "ENGINE", value_enum, default_value_t = EngineChoice::Direct)]
    pub(crate) engine: EngineChoice,
    /// The most clients at a time
    #[arg(long, value_name = "COUNT")]
    pub(crate) connections: Option<usize>,
    /// The largest body of a request, in bytes; any size if not given
    #[arg(long, value_name = "BYTES")]
    pub(crate) body_limit: Option<u64>,
    /// The port that redirects to https lead to; by default that of --https. With neither nothing is redirected
    #[arg(long, value_name = "PORT")]
    pub(crate) https_port: Option<u16>,
    /// Whom to become after a start as root
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<User>,
    /// How many seconds running requests have when the router is told to end
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain: u64,
    /// A file to hold locked and to say in who runs; another router with the same file does not start
    #[arg(long, value_name = "FILE")]
    pub(crate) post: Option<PathBuf>,
    /// Leave the session of the process that started it
    #[arg(long)]
    pub(crate) own_session: bool,
    /// Where tests name the points at which it dies
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub(crate) crash_points: Option<PathBuf>,
    /// What to say about itself on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LevelFilter,
}
