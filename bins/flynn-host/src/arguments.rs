use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use flynn_core::client::Endpoint;
use flynn_core::name::NodeName;
use flynn_core::noun::NodeId;
use flynn_instance::Layout;
use flynn_runtime::network::{Destination, Subnet};
use tracing::level_filters::LevelFilter;

/// Run the jobs and builds of a node.
#[derive(Debug, Parser)]
#[command(name = "flynn-host", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the jobs and builds that are placed on the node
    Run(Box<ServeArguments>),
    /// End all containers of a data directory and take away their networks, mounts and control groups. The agent
    /// must not run
    Clear(NodePlace),
}

/// Where an instance is, and what it calls its things.
#[derive(Debug, Clone, Args)]
pub(crate) struct NodePlace {
    #[command(flatten)]
    pub(crate) folders: flynn_instance::Place,
    /// The addresses of apps; by default a range that follows from the data directory
    #[arg(long, value_name = "SUBNET")]
    pub(crate) subnet: Option<Subnet>,
    /// The addresses of builds; by default a range that follows from the data directory
    #[arg(long, value_name = "SUBNET")]
    pub(crate) build_subnet: Option<Subnet>,
}

impl NodePlace {
    pub(crate) fn layout(&self) -> anyhow::Result<Layout> {
        self.folders.layout()
    }
}

/// How to serve.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) place: NodePlace,
    /// Where the control plane is: unix:///PATH or http://HOST:PORT
    #[arg(long, value_name = "URL", default_value = "unix:///run/flynn/flynnd.sock")]
    pub(crate) store: Endpoint,
    /// The file with the node's token; without one, only the users whom the socket trusts get in
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The id of this node in the store
    #[arg(long, value_name = "ID")]
    pub(crate) node: NodeId,
    /// The name of this node in the store
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: NodeName,
    #[command(flatten)]
    pub(crate) egress: EgressArguments,
    #[command(flatten)]
    pub(crate) builds: BuildArguments,
    /// A file to hold locked and to say in who runs; another agent with the same file does not start
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

/// Which of the operator's networks containers reach. All are closed to them otherwise.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EgressArguments {
    /// What apps and builds may reach in private networks, such as 10.20.0.5:5432 or 10.20.0.0/16; can be given several
    /// times. This machine itself and link-local addresses stay closed
    #[arg(long, value_name = "ADDRESS[/BITS][:PORT]")]
    pub(crate) egress_allow: Vec<Destination>,
    /// The same for builds alone. They reach the package servers that this node knows of without it
    #[arg(long, value_name = "ADDRESS[/BITS][:PORT]")]
    pub(crate) build_egress_allow: Vec<Destination>,
}

/// Where builds get packages.
#[derive(Debug, Clone, Args)]
pub(crate) struct BuildArguments {
    /// A Python package index in place of the usual one
    #[arg(long, value_name = "URL")]
    pub(crate) python_index: Option<String>,
    /// An npm registry in place of the usual one
    #[arg(long, value_name = "URL")]
    pub(crate) npm_registry: Option<String>,
    /// A Go module proxy in place of the usual one
    #[arg(long, value_name = "URL")]
    pub(crate) go_proxy: Option<String>,
    /// A mirror of Debian in place of the usual one
    #[arg(long, value_name = "URL")]
    pub(crate) debian_mirror: Option<String>,
    /// A mirror of Debian's security updates in place of the usual one; empty for none
    #[arg(long, value_name = "URL")]
    pub(crate) debian_security_mirror: Option<String>,
    /// The certificates of the authorities that builds and apps trust
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub(crate) ca_bundle: PathBuf,
    /// An archive of a root file system to run apps on, in place of one made of Debian's packages
    #[arg(long, value_name = "FILE")]
    pub(crate) run_base: Option<PathBuf>,
    /// An archive of a root file system to build in, in place of one made of Debian's packages
    #[arg(long, value_name = "FILE")]
    pub(crate) build_base: Option<PathBuf>,
    /// How many builds run at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    pub(crate) parallel_builds: usize,
}

impl BuildArguments {
    /// The certificates that builds and apps trust, if the machine has any.
    pub(crate) fn authorities(&self) -> Option<PathBuf> {
        self.ca_bundle.exists().then(|| self.ca_bundle.clone())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_options_of_all_commands_can_be_told_apart() {
        super::Arguments::command().debug_assert();
    }
}
