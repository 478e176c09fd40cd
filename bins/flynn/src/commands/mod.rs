//! The commands, one file a group.

mod access;
mod apps;
mod bridge;
mod builds;
mod certificates;
mod changes;
mod cluster;
mod completions;
mod config;
mod deploy;
mod deploy_mode;
mod deployments;
mod domains;
mod follow;
mod git_credential;
mod login;
mod logs;
mod nodes;
mod placement;
mod processes;
mod quotas;
mod releases;
mod routes;
mod run;
mod scale;
mod users;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use cluster::{Health, Known};

use crate::failure::Failure;
use crate::session::Session;

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    Login(login::Login),
    Logout(login::Logout),
    Whoami(login::Whoami),
    Status(cluster::Status),
    Create(apps::Create),
    Apps(apps::Apps),
    Info(apps::Info),
    Rename(apps::Rename),
    #[command(visible_alias = "delete")]
    Destroy(apps::Destroy),
    Open(apps::Open),
    Maintenance(apps::Maintenance),
    Deploy(deploy::Deploy),
    #[command(alias = "build")]
    Builds(builds::Builds),
    #[command(alias = "release")]
    Releases(releases::Releases),
    Rollback(releases::Rollback),
    #[command(alias = "deployment")]
    Deployments(deployments::Deployments),
    #[command(visible_alias = "env")]
    Config(config::Config),
    Ps(processes::Ps),
    Scale(scale::Scale),
    Restart(processes::Restart),
    Kill(processes::Kill),
    #[command(alias = "limit")]
    Limits(scale::Limits),
    Placement(placement::Placement),
    Run(run::Run),
    Exec(run::Exec),
    Attach(run::Attach),
    #[command(visible_alias = "log")]
    Logs(logs::Log),
    #[command(alias = "domain")]
    Domains(domains::Domains),
    #[command(visible_alias = "route")]
    Routes(routes::Routes),
    #[command(alias = "cert")]
    Certs(certificates::Certs),
    #[command(alias = "token")]
    Tokens(access::Tokens),
    #[command(alias = "team")]
    Teams(access::Teams),
    #[command(alias = "member")]
    Members(access::Members),
    #[command(alias = "user")]
    Users(users::Users),
    #[command(alias = "quota")]
    Quotas(quotas::Quotas),
    #[command(alias = "node")]
    Nodes(nodes::Nodes),
    Audit(access::Audit),
    #[command(alias = "git-credentials")]
    GitCredential(git_credential::GitCredential),
    Completions(completions::Completions),
}

/// Runs a command to its end.
///
/// # Errors
/// What the user is told.
pub(crate) async fn run(session: &Session, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Cluster(command) => cluster::run(session, command),
        Command::Login(command) => login::login(session, command).await,
        Command::Logout(command) => login::logout(session, command).await,
        Command::Whoami(_) => login::whoami(session).await,
        Command::Status(_) => cluster::status(session).await,
        Command::Create(command) => apps::create(session, command).await,
        Command::Apps(command) => apps::list(session, command).await,
        Command::Info(_) => apps::info(session).await,
        Command::Rename(command) => apps::rename(session, command).await,
        Command::Destroy(command) => apps::destroy(session, command).await,
        Command::Open(_) => apps::open(session).await,
        Command::Maintenance(command) => apps::maintenance(session, command).await,
        Command::Deploy(command) => deploy::run(session, command).await,
        Command::Builds(command) => builds::run(session, command).await,
        Command::Releases(command) => releases::run(session, command).await,
        Command::Rollback(command) => releases::roll_back(session, command).await,
        Command::Deployments(command) => deployments::run(session, command).await,
        Command::Config(command) => config::run(session, command).await,
        Command::Ps(command) => processes::list(session, command).await,
        Command::Scale(command) => scale::scale(session, command).await,
        Command::Restart(command) => processes::restart(session, command).await,
        Command::Kill(command) => processes::kill(session, command).await,
        Command::Limits(command) => scale::limits(session, command).await,
        Command::Placement(command) => placement::run(session, command).await,
        Command::Run(command) => return run::run(session, command).await,
        Command::Exec(command) => return run::exec(session, command).await,
        Command::Attach(command) => return run::attach(session, command).await,
        Command::Logs(command) => logs::run(session, command).await,
        Command::Domains(command) => domains::run(session, command).await,
        Command::Routes(command) => routes::run(session, command).await,
        Command::Certs(command) => certificates::run(session, command).await,
        Command::Tokens(command) => access::tokens(session, command).await,
        Command::Teams(command) => access::teams(session, command).await,
        Command::Members(command) => access::members(session, command).await,
        Command::Users(command) => users::run(session, command).await,
        Command::Quotas(command) => quotas::run(session, command).await,
        Command::Nodes(command) => nodes::run(session, command).await,
        Command::Audit(command) => access::audit(session, &command).await,
        Command::GitCredential(command) => git_credential::run(session, &command),
        Command::Completions(command) => completions::run(session, &command),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// How many entries of a list that only grows are shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Count {
    /// How many at most, the newest
    #[arg(short = 'n', long = "num", value_name = "COUNT", default_value_t = 20)]
    most: usize,
}

/// Every entry of a list that is short by nature.
const ALL: usize = 10_000;
