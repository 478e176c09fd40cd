//! `flynn quotas`: what teams may use, and what they use.

use clap::{Args, Subcommand};
use flynn_core::api::Limits;
use flynn_core::client::Api;

use super::ALL;
use super::scale::{bytes, cpu};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// Show what teams may use and what they use, or limit it
#[derive(Debug, Args)]
pub(crate) struct Quotas {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Show what the teams that you may see may use, and what they use
    List,
    /// Show or limit what every team may use whose own quota says nothing else. To limit it takes an administrator
    Default {
        /// As for `quotas set`; shows how it is if left out
        #[arg(value_name = "WHAT=AMOUNT", value_parser = limit)]
        limits: Vec<Limit>,
    },
    /// Limit what a team may use. Takes an administrator
    Set {
        /// The team
        team: String,
        /// Such as apps=10, instances=50, cpu=4, memory=8G, volumes=100G, routes=100, or for one instance
        /// instance-cpu=2, instance-memory=2G, instance-disk=10G, instance-pids=1000; `none` lifts a limit
        #[arg(required = true, value_name = "WHAT=AMOUNT", value_parser = limit)]
        limits: Vec<Limit>,
    },
}

/// A limit that is to be set or lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    what: What,
    amount: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Apps,
    Routes,
    Instances,
    Cpu,
    Memory,
    Volumes,
    InstanceCpu,
    InstanceMemory,
    InstanceDisk,
    InstancePids,
}

type Read = fn(&str) -> Result<u64, String>;

fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn limit(text: &str) -> Result<Limit, String> {
    let (name, amount) = text.split_once('=').ok_or("write WHAT=AMOUNT, such as memory=8G")?;
    let (what, read): (What, Read) = match name {
        "apps" => (What::Apps, count),
        "routes" => (What::Routes, count),
        "instances" => (What::Instances, count),
        "cpu" => (What::Cpu, cpu),
        "memory" => (What::Memory, bytes),
        "volumes" => (What::Volumes, bytes),
        "instance-cpu" => (What::InstanceCpu, cpu),
        "instance-memory" => (What::InstanceMemory, bytes),
        "instance-disk" => (What::InstanceDisk, bytes),
        "instance-pids" => (What::InstancePids, count),
        _ => return Err(format!("`{name}` cannot be limited: see `flynn quotas set --help`")),
    };
    let amount = if amount == "none" { None } else { Some(read(amount)?) };
    Ok(Limit { what, amount })
}

fn apply(limits: &mut Limits, changes: &[Limit]) {
    for change in changes {
        let field = match change.what {
            What::Apps => &mut limits.apps,
            What::Routes => &mut limits.routes,
            What::Instances => &mut limits.instances,
            What::Cpu => &mut limits.cpu_millis,
            What::Memory => &mut limits.memory_bytes,
            What::Volumes => &mut limits.volume_bytes,
            What::InstanceCpu => &mut limits.instance_cpu_millis,
            What::InstanceMemory => &mut limits.instance_memory_bytes,
            What::InstanceDisk => &mut limits.instance_disk_bytes,
            What::InstancePids => &mut limits.instance_pids,
        };
        *field = change.amount;
    }
}

pub(super) async fn run(session: &Session, command: Quotas) -> Result<(), Failure> {
    let api = session.api()?;
    match command.command {
        None | Some(Change::List) => {
            let quotas =
                session.wait("Listing quotas", Api::collect(ALL, async |page| api.quotas(&page).await)).await?;
            session.output().show(&quotas, |style| render::quotas(&quotas).render(style))
        }
        // What was not named stays, and nobody's change in between is lost.
        Some(Change::Set { team, limits: changes }) => {
            let set = async {
                let old = api.quota(&team).await?;
                let mut limits = old.limits;
                apply(&mut limits, &changes);
                api.expecting(old.version).put_quota(&team, &limits).await
            };
            let quota = session.wait("Setting the quota", set).await?;
            session.output().show(&quota, |style| render::quotas(std::slice::from_ref(&quota)).render(style))
        }
        Some(Change::Default { limits: changes }) => {
            let set = async {
                let old = api.default_quota().await?;
                if changes.is_empty() {
                    return Ok(old);
                }
                let mut limits = old.limits;
                apply(&mut limits, &changes);
                api.expecting(old.version).put_default_quota(&limits).await
            };
            let quota = session.wait("Looking up the quota", set).await?;
            session.output().show(&quota, |style| render::limits_of_teams(&quota.limits).render(style))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_units_and_can_be_lifted() {
        let read = |text: &str| limit(text).map(|limit| (limit.what, limit.amount));
        assert_eq!(read("apps=3"), Ok((What::Apps, Some(3))));
        assert_eq!(read("cpu=500m"), Ok((What::Cpu, Some(500))));
        assert_eq!(read("instance-memory=2G"), Ok((What::InstanceMemory, Some(2 << 30))));
        assert_eq!(read("memory=none"), Ok((What::Memory, None)));
        for bad in ["apps", "apps=", "apps=-1", "memory=1X", "pids=1", "cpu=0.5"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
        let mut limits = Limits { apps: Some(1), routes: Some(2), ..Limits::default() };
        apply(&mut limits, &[limit("apps=none").unwrap(), limit("instance-pids=9").unwrap()]);
        assert_eq!(limits, Limits { routes: Some(2), instance_pids: Some(9), ..Limits::default() });
    }
}
