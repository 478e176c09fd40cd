//! `flynn scale` and `flynn limits`: how many instances there are, and how large.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use flynn_core::api::{Formation, FormationChange, ScaleChange};

use super::follow::{self, Wait};
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// Show or change how many instances of each process type there are
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// Such as web=2; shows how it is if left out
    #[arg(value_name = "TYPE=COUNT", value_parser = count)]
    counts: Vec<(String, u32)>,
    #[command(flatten)]
    wait: Wait,
}

/// Show or change how much each instance may use
#[derive(Debug, Args)]
pub(crate) struct Limits {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Change the limits of a process type, for instances that start from then on
    Set {
        /// Such as web
        #[arg(value_name = "TYPE")]
        process: String,
        /// Such as memory=512M, cpu=500m or cpu=2, disk=2G, pids=200
        #[arg(required = true, value_name = "WHAT=AMOUNT", value_parser = limit)]
        limits: Vec<(Limited, u64)>,
    },
}

/// What can be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limited {
    Cpu,
    Memory,
    Disk,
    Pids,
}

fn count(text: &str) -> Result<(String, u32), String> {
    let (process, count) = text.split_once('=').ok_or("write TYPE=COUNT, such as web=2")?;
    let count = count.parse().map_err(|_| format!("`{count}` is no number of instances"))?;
    Ok((process.to_owned(), count))
}

fn limit(text: &str) -> Result<(Limited, u64), String> {
    let (what, amount) = text.split_once('=').ok_or("write WHAT=AMOUNT, such as memory=512M")?;
    match what {
        "cpu" => Ok((Limited::Cpu, cpu(amount)?)),
        "memory" => Ok((Limited::Memory, bytes(amount)?)),
        "disk" => Ok((Limited::Disk, bytes(amount)?)),
        "pids" => Ok((Limited::Pids, amount.parse().map_err(|_| format!("`{amount}` is no number of processes"))?)),
        _ => Err(format!("`{what}` cannot be limited: use cpu, memory, disk or pids")),
    }
}

/// Thousandths of a core: `500m`, or `2` for whole cores.
pub(super) fn cpu(amount: &str) -> Result<u64, String> {
    let wrong =
        || format!("`{amount}` is no amount of cpu: use thousandths of a core such as 500m, or cores such as 2");
    match amount.strip_suffix('m') {
        Some(millis) => millis.parse().map_err(|_| wrong()),
        None => amount.parse::<u64>().ok().and_then(|cores| cores.checked_mul(1_000)).ok_or_else(wrong),
    }
}

/// Bytes, or a number and K, M, G or T (1024 each).
pub(super) fn bytes(amount: &str) -> Result<u64, String> {
    let wrong = || format!("`{amount}` is no amount of bytes: use a number and K, M, G or T, such as 512M");
    let digits = amount.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &amount[digits.len()..] {
        "" => 0,
        "K" | "k" | "Ki" | "KiB" => 10,
        "M" | "m" | "Mi" | "MiB" => 20,
        "G" | "g" | "Gi" | "GiB" => 30,
        "T" | "t" | "Ti" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(wrong)
}

fn change_of(counts: Vec<(String, u32)>) -> Result<FormationChange, Failure> {
    let mut processes = BTreeMap::new();
    for (process, count) in counts {
        let change = ScaleChange { count: Some(count), ..ScaleChange::default() };
        if processes.insert(process.clone(), change).is_some() {
            return Err(Failure::usage(format!("{process} has two counts; give it one")));
        }
    }
    Ok(FormationChange { processes })
}

pub(super) async fn scale(session: &Session, command: Scale) -> Result<(), Failure> {
    if command.counts.is_empty() {
        let formation = read(session).await?;
        return session.output().show(&formation, |style| render::formation(&formation).render(style));
    }
    let formation = change(session, change_of(command.counts)?, command.wait).await?;
    session.output().show(&formation, |style| render::formation(&formation).render(style))
}

pub(super) async fn limits(session: &Session, command: Limits) -> Result<(), Failure> {
    let Some(Change::Set { process, limits }) = command.command else {
        let formation = read(session).await?;
        return session.output().show(&formation, |style| render::limits(&formation).render(style));
    };
    let mut scale = ScaleChange::default();
    for (what, amount) in limits {
        let field = match what {
            Limited::Cpu => &mut scale.cpu_millis,
            Limited::Memory => &mut scale.memory_bytes,
            Limited::Disk => &mut scale.disk_bytes,
            Limited::Pids => &mut scale.pids,
        };
        *field = Some(amount);
    }
    let (api, app) = (session.api()?, session.app()?);
    let change = FormationChange { processes: [(process.clone(), scale)].into() };
    let formation = session.wait("Setting limits", api.change_formation(&app, &change)).await?;
    session.output().show(&formation, |style| {
        let mut text = render::limits(&formation).render(style);
        if style.aligned && formation.processes.get(&process).is_some_and(|scale| scale.up > 0) {
            text += &format!("What runs keeps its size until `flynn restart {process}`.\n");
        }
        text
    })
}

async fn read(session: &Session) -> Result<Formation, Failure> {
    let (api, app) = (session.api()?, session.app()?);
    session.wait("Reading the formation", api.formation(&app)).await
}

async fn change(session: &Session, change: FormationChange, wait: Wait) -> Result<Formation, Failure> {
    let (api, app) = (session.api()?, session.app()?);
    let formation = session.wait("Scaling", api.change_formation(&app, &change)).await?;
    let known = session.wait("Looking up the app", api.app(&app)).await?;
    // Without a release there is nothing to run: the counts hold from the first deployment on.
    if !wait.wait || known.release.is_none() {
        return Ok(formation);
    }
    follow::formation(session, &api, &app, &[]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_name_a_process_type() {
        assert_eq!(count("web=2"), Ok(("web".into(), 2)));
        for bad in ["web", "web=", "web=-1", "web=two", "web=99999999999"] {
            assert!(count(bad).is_err(), "{bad}");
        }
        assert_eq!(change_of(vec![("web".into(), 1), ("web".into(), 2)]).unwrap_err().code(), 2);
    }

    #[test]
    fn limits_have_units() {
        assert_eq!(limit("memory=512M"), Ok((Limited::Memory, 512 << 20)));
        assert_eq!(limit("disk=2GiB"), Ok((Limited::Disk, 2 << 30)));
        assert_eq!(limit("cpu=500m"), Ok((Limited::Cpu, 500)));
        assert_eq!(limit("cpu=2"), Ok((Limited::Cpu, 2_000)));
        assert_eq!(limit("pids=200"), Ok((Limited::Pids, 200)));
        for bad in ["memory", "memory=", "memory=1X", "memory=-1", "cpu=0.5", "swap=1", "memory=99999999999T"] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }
}
