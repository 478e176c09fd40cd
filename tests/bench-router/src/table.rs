//! The route table by itself.

use std::collections::BTreeMap;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use flynn_core::name::{AppName, HostPattern, PathPrefix, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{Ids, Timestamp};
use flynn_router::table::{Host, Place, RouteTable, ShardedTable, TableChange, TargetKey, TargetSpec};

use crate::numbers::median;

const ROUTES: usize = 50_000;
const LOOKUPS: usize = 400_000;
const CHANGES: usize = 500;

/// A table with [`ROUTES`] routes to the first of two targets.
struct Full {
    table: ShardedTable,
    targets: [TargetKey; 2],
    hosts: Vec<Host>,
    places: Vec<Place>,
}

impl Full {
    fn new() -> Result<Self> {
        let (table, mut ids) = (ShardedTable::new(), Ids::seeded(1));
        let mut key =
            || -> Result<_> { Ok(TargetKey { app: ids.next(Timestamp::EPOCH), process: ProcessName::new("web")? }) };
        let targets = [key()?, key()?];
        for key in &targets {
            let spec = TargetSpec { name: AppName::new("app")?, traffic: Traffic::Serve, backends: BTreeMap::new() };
            table.apply([TableChange::PutTarget(key.clone(), spec)]);
        }
        let (mut hosts, mut places) = (Vec::new(), Vec::new());
        for number in 0..ROUTES {
            let name = format!("app-{number}.example.com");
            hosts.push(Host::parse(&name).context("a host")?);
            places.push(Place { host: HostPattern::new(&name)?.into(), path: PathPrefix::root() });
        }
        table.apply(places.iter().map(|place| TableChange::PutRoute(place.clone(), targets[0].clone().into())));
        Ok(Self { table, targets, hosts, places })
    }

    /// Numbers of routes in an order that no cache can guess.
    fn order(&self) -> impl Iterator<Item = usize> {
        let mut state = 88_172_645_463_325_252_u64;
        std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % ROUTES as u64) as usize
        })
    }
}

/// Nanoseconds for a lookup of random hosts.
pub(crate) fn lookup(rounds: usize) -> Result<Vec<f64>> {
    let full = Full::new()?;
    // The host of a request was just read, so the hosts lie in the order in which they are asked for; where their
    // routes lie, no cache can guess.
    let asked: Vec<Host> = full.order().take(LOOKUPS).map(|at| full.hosts[at].clone()).collect();
    let mut measured = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        for host in &asked {
            black_box(full.table.lookup(host, "/a/b")).context("a route is missing")?;
        }
        measured.push(began.elapsed().as_nanos() as f64 / LOOKUPS as f64);
    }
    eprintln!("    {measured:.1?}");
    Ok(vec![median(measured)])
}

/// Microseconds from the beginning of a change to the moment when every thread that looks the route up finds what
/// it says.
pub(crate) fn change(rounds: usize) -> Result<Vec<f64>> {
    let full = Full::new()?;
    let cores = thread::available_parallelism()?.get();
    let mut measured = Vec::new();
    for _ in 0..rounds {
        measured.push(median(changes(&full, cores.saturating_sub(1).max(1))));
    }
    eprintln!("    {measured:.1?}");
    Ok(vec![median(measured)])
}

fn changes(full: &Full, workers: usize) -> Vec<f64> {
    let order: Vec<usize> = full.order().take(CHANGES).collect();
    // How many changes are announced, and how often one of them was seen by a worker.
    let (announced, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let last = AtomicU64::new(0);
    let origin = Instant::now();
    let since = || origin.elapsed().as_nanos() as u64;
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                for (number, at) in order.iter().enumerate() {
                    while announced.load(Ordering::Acquire) <= number {
                        spin_loop();
                    }
                    let wanted = &full.targets[1 - number % 2];
                    let found = || full.table.lookup(&full.hosts[*at], "/").map(|route| route.target().key().app);
                    while found() != Some(wanted.app) {
                        spin_loop();
                    }
                    last.fetch_max(since(), Ordering::AcqRel);
                    seen.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
        let mut times = Vec::new();
        for (number, at) in order.iter().enumerate() {
            // The route leads to the other target before, whatever the last change of it was.
            let lead_to = |key: &TargetKey| {
                full.table.apply([TableChange::PutRoute(full.places[*at].clone(), key.clone().into())]);
            };
            lead_to(&full.targets[number % 2]);
            announced.store(number + 1, Ordering::Release);
            let began = since();
            lead_to(&full.targets[1 - number % 2]);
            while seen.load(Ordering::Acquire) < (number + 1) * workers {
                spin_loop();
            }
            times.push((last.load(Ordering::Acquire) - began) as f64 / 1_000.0);
        }
        times
    })
}
