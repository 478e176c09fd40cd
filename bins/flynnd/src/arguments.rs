use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use flynn_core::name::{HostPattern, NodeName};
use flynn_core::rule::Bounds;
use flynn_instance::{Place, User};
use flynn_runtime::network::Subnet;
use tracing::level_filters::LevelFilter;

/// Run the control plane of Flynn, and beside it the agent and the router of this machine.
#[derive(Debug, Parser)]
#[command(name = "flynnd", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: Box<ServeArguments>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// End every process and app of a data directory and take away all they made on the machine but the data
    Down(Place),
    /// End the control plane of a data directory. Its agent, its router and all apps go on
    Stop(Place),
    /// What git runs for each push
    #[command(hide = true)]
    GitHook,
}

/// How to serve.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where to serve the API and git
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7700")]
    pub(crate) listen: SocketAddr,
    /// Where the router serves apps
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:80")]
    pub(crate) http: SocketAddr,
    /// Where the router serves apps over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:443", conflicts_with = "no_https")]
    https: SocketAddr,
    /// Serve no TLS: routes that redirect to https are served as they are
    #[arg(long)]
    no_https: bool,
    /// The domain below which each app has a name
    #[arg(long, value_name = "DOMAIN", default_value = "localhost")]
    pub(crate) domain: HostPattern,
    /// Start no agent and no router: they run elsewhere
    #[arg(long)]
    pub(crate) no_children: bool,
    /// Replace an agent and a router that run already, for another version or other options
    #[arg(long)]
    pub(crate) restart_children: bool,
    /// What this machine is called among nodes, at its first start; by default its host name
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<NodeName>,
    /// Processor time that is kept from apps, in thousandths of a core
    #[arg(long, value_name = "MILLIS", default_value_t = 0)]
    pub(crate) reserve_cpu: u64,
    /// Memory that is kept from apps, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) reserve_memory: u64,
    /// Disk space that is kept free, in MiB: with less left, nothing is built and no instance of an app is started; by
    /// default a twentieth of the data disk, at most 1024
    #[arg(long, value_name = "MIB")]
    pub(crate) reserve_disk: Option<u64>,
    /// Disk space that a build may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096, value_parser = build_size(Bounds::MOST.disk_bytes))]
    pub(crate) build_disk: u64,
    /// Memory that a build may take, in MiB; by default half of what this machine has, at most 2048
    #[arg(long, value_name = "MIB", value_parser = build_size(Bounds::MOST.memory_bytes))]
    pub(crate) build_memory: Option<u64>,
    /// The addresses of apps on this machine, such as 10.80.0.0/16; by default a range that follows from the data
    /// directory
    #[arg(long, value_name = "SUBNET")]
    pub(crate) subnet: Option<Subnet>,
    /// What apps and builds may reach in private networks, such as 10.20.0.5:5432 or 10.20.0.0/16; can be given several
    /// times. Takes effect on a running agent with --restart-children
    #[arg(long, value_name = "ADDRESS[/BITS][:PORT]")]
    pub(crate) egress_allow: Vec<String>,
    /// A further option of flynn-host, such as --host-option=--npm-registry=URL; can be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) host_option: Vec<String>,
    /// Whom the router becomes; by default `flynn-router` if there is such a user, else `nobody`
    #[arg(long, value_name = "NAME")]
    pub(crate) router_user: Option<User>,
    /// As whom git handles what is pushed; by default `flynn-git` if there is such a user, else `nobody`
    #[arg(long, value_name = "NAME")]
    pub(crate) git_user: Option<User>,
    /// Where tests name the points at which this process, the agent and the router die
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub(crate) crash_points: Option<PathBuf>,
    /// What to say about itself on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LevelFilter,
}

impl ServeArguments {
    /// Where the router serves apps over TLS, if it does.
    pub(crate) fn https(&self) -> Option<SocketAddr> {
        Some(self.https).filter(|_| !self.no_https)
    }

    /// Whom the router becomes; none if this process cannot choose.
    pub(crate) fn router_user(&self) -> anyhow::Result<Option<User>> {
        unprivileged(self.router_user.as_ref(), "flynn-router")
    }

    /// As whom git runs; none if this process cannot choose.
    pub(crate) fn git_user(&self) -> anyhow::Result<Option<User>> {
        unprivileged(self.git_user.as_ref(), "flynn-git")
    }
}

/// An amount in MiB with which something can be built, up to `most` bytes.
fn build_size(most: u64) -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(64..=most >> 20)
}

/// The user that was `given`, or else `usual`, or else `nobody`.
fn unprivileged(given: Option<&User>, usual: &str) -> anyhow::Result<Option<User>> {
    match given {
        _ if !User::is_root() => Ok(None),
        Some(user) => Ok(Some(user.clone())),
        None => Ok(Some(usual.parse().or_else(|_| "nobody".parse::<User>())?)),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_options_of_all_commands_can_be_told_apart() {
        super::Arguments::command().debug_assert();
    }

    #[test]
    fn a_build_has_some_room_and_no_more_than_there_can_be() {
        let parse = |option: &str, amount: &str| {
            super::Arguments::try_parse_from(["flynnd", option, amount]).map(drop).map_err(|error| error.to_string())
        };
        for (option, most) in [("--build-memory", "16777216"), ("--build-disk", "1073741824")] {
            for good in ["64", most] {
                assert_eq!(parse(option, good), Ok(()));
            }
            for bad in ["0", "63", "99999999999"] {
                let refused = parse(option, bad).unwrap_err();
                assert!(refused.contains(option) && refused.contains(&format!("64..={most}")), "{refused}");
            }
        }
    }

    #[test]
    fn root_lets_others_read_what_is_pushed() {
        if !flynn_instance::User::is_root() {
            return;
        }
        let user = |arguments: &[&str]| {
            let arguments = super::Arguments::parse_from(["flynnd"].iter().chain(arguments));
            arguments.serve.git_user().unwrap().unwrap().uid()
        };
        assert_ne!(user(&[]), 0);
        assert_eq!(user(&["--git-user", "root"]), 0);
    }
}
