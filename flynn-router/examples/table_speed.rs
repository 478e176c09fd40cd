//! Measures lookups and updates of the route table: `cargo run --release --example table_speed`.
#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use flynn_core::name::{AppName, HostPattern, PathPrefix, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{Id, Ids, JobId, Timestamp};
use flynn_router::table::{Host, Place, RouteTable, ShardedTable, TableChange, TargetKey, TargetSpec};
use tokio::time::Instant;

const ROUNDS: usize = 7;
const OPERATIONS: usize = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    println!("best of {ROUNDS}, in ns: routes, lookup (random host), lookup (unknown host), put route, replace target");
    for routes in [100, 5_000, 50_000] {
        let table = ShardedTable::new();
        let key = TargetKey { app: Id::NIL, process: ProcessName::new("web")? };
        let job: JobId = Ids::seeded(1).next(Timestamp::EPOCH);
        let spec = |port: u16| -> Result<TargetSpec, Box<dyn Error>> {
            let backends = BTreeMap::from([(job, ([127, 0, 0, 1], port).into())]);
            Ok(TargetSpec { name: AppName::new("app")?, traffic: Traffic::Serve, backends })
        };
        table.apply([TableChange::PutTarget(key.clone(), spec(1)?)]);
        let mut hosts = Vec::new();
        let mut places = Vec::new();
        for number in 0..routes {
            let name = format!("app-{number}.example.com");
            places.push(Place { host: HostPattern::new(&name)?.into(), path: PathPrefix::root() });
            hosts.extend(Host::parse(&name));
        }
        table.apply(places.iter().map(|place| TableChange::PutRoute(place.clone(), key.clone().into())));
        let order: Vec<usize> = (0..OPERATIONS).map(|number| number.wrapping_mul(2_654_435_761) % routes).collect();
        let unknown: Vec<Host> =
            (0..1_000).filter_map(|number| Host::parse(&format!("x{number}.nowhere.example"))).collect();
        let known = best(|| order.iter().for_each(|at| drop(black_box(table.lookup(&hosts[*at], "/a/b")))));
        let missed =
            best(|| (0..OPERATIONS).for_each(|at| drop(black_box(table.lookup(&unknown[at % unknown.len()], "/")))));
        let updates = OPERATIONS / 20;
        let put = best(|| {
            table.apply(
                order.iter().take(updates).map(|at| TableChange::PutRoute(places[*at].clone(), key.clone().into())),
            );
        });
        let (first, second) = (spec(1)?, spec(2)?);
        let replace = best(|| {
            table.apply((0..updates).map(|at| {
                let spec = if at % 2 == 0 { &first } else { &second };
                TableChange::PutTarget(key.clone(), spec.clone())
            }));
        });
        let each = |time: Duration, count: usize| time.as_nanos() / count as u128;
        println!(
            "{routes:>6} {:>6} {:>6} {:>7} {:>6}",
            each(known, OPERATIONS),
            each(missed, OPERATIONS),
            each(put, updates),
            each(replace, updates)
        );
    }
    Ok(())
}

fn best(mut run: impl FnMut()) -> Duration {
    let time = |run: &mut dyn FnMut()| {
        let began = Instant::now();
        run();
        began.elapsed()
    };
    (0..ROUNDS).map(|_| time(&mut run)).min().unwrap_or_default()
}
