//! What people read, as pure functions from documents to text.

mod access;
mod amount;
mod apps;
mod certificates;
mod cluster;
mod history;
mod log;
mod processes;
#[cfg(test)]
pub(crate) mod samples;
mod table;
mod time;
mod words;

pub(crate) use access::{audit, first_token, issued, limits_of_teams, members, quotas, teams, tokens, users, whoami};
pub(crate) use apps::{app, apps, config, config_changed, created, domains, mode, place, routes};
pub(crate) use certificates::certificates;
pub(crate) use cluster::{clusters, health, node, nodes};
pub(crate) use history::{builds, deploying, deployments, release, releases};
pub(crate) use log::{harmless, log_line};
pub(crate) use processes::{formation, jobs, limits, placement};
pub(crate) use table::{Cell, Fields, Table};
pub(crate) use time::{ago, day, parse_span};
pub(crate) use words::{short, state};
