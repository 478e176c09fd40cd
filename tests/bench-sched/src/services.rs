//! How many decisions a second for services on large clusters without GPUs, with and without rules between instances.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use flynn_core::name::{LabelKey, LabelValue, NodeName, ProcessName};
use flynn_core::rule::Room;
use flynn_core::value::{Gpus, Resources};
use flynn_core::{AppId, Ids, JobId, Timestamp};
use flynn_sched::placement::{
    Affinity, BestFit, Cluster, Demand, Group, Host, Planner, Policy, Priority, Request, Rule, Spread, SpreadOut,
    Toward, Yardstick,
};

use crate::Results;
use crate::draw::Draws;
use crate::speed::median;
use crate::stopwatch::Stopwatch;

/// One decision in so many is also found by a look at every node; that is not part of the time.
const SCAN_EVERY: usize = 500;

/// One measurement: its key, and how one round of it is taken.
type Measure = (&'static str, fn(u64) -> Result<f64>);

const MEASURES: [Measure; 4] = [
    ("bestfit_10k_nodes_decisions_per_s", best_fit),
    ("spread_5k_nodes_decisions_per_s", spread),
    ("anti_affinity_5k_nodes_decisions_per_s", anti_affinity),
    ("preempt_5k_nodes_decisions_per_s", preempt),
];

pub(crate) fn measure(results: &mut Results, rounds: usize) -> Result<()> {
    for (key, measure) in MEASURES {
        if results.wants(key) {
            eprintln!("--- {key}");
            let rates = (1..=rounds as u64).map(measure).collect::<Result<_>>()?;
            results.add(key, median(rates));
        }
    }
    Ok(())
}

/// Nodes of 16 to 96 cores in 3 zones.
fn hosts(count: usize, ids: &mut Ids) -> Result<Vec<Host>> {
    let sizes = [(16, 64), (32, 128), (64, 256), (96, 384)];
    let host = |index: usize| {
        let (cores, gib) = sizes[index % sizes.len()];
        let resources =
            Resources { cpu_millis: cores * 1_000, memory_bytes: gib << 30, disk_bytes: 1 << 40, pids: 100_000 };
        let name = NodeName::new(&format!("n{index}"))?;
        let mut host = Host::new(ids.next(Timestamp::EPOCH), name, Room { resources, gpus: Gpus::NONE });
        let zone = LabelValue::new(["a", "b", "c"][index / sizes.len() % 3])?;
        host.labels = BTreeMap::from([(LabelKey::new("zone")?, zone)]);
        Ok(host)
    };
    (0..count).map(host).collect()
}

/// Instances of apps with 2 to 200 instances each, in 24 sizes, app after app.
fn instances(count: usize, seed: u64, ids: &mut Ids) -> Result<Vec<Request>> {
    let mut draws = Draws::new(seed);
    let mut requests = Vec::with_capacity(count);
    while requests.len() < count {
        let group = Group { app: ids.next(Timestamp::EPOCH), process: Some(ProcessName::new("web")?) };
        let resources = Resources {
            cpu_millis: [250, 500, 1_000, 2_000, 4_000, 8_000][draws.below(6)],
            memory_bytes: [256, 1_024, 4_096, 8_192][draws.below(4)] << 20,
            disk_bytes: 1 << 30,
            pids: 256,
        };
        let request = Request::new(group, Demand { resources, ..Demand::default() });
        let size = [2, 3, 10, 30, 200][draws.below(5)].min(count - requests.len());
        requests.extend(std::iter::repeat_n(request, size));
    }
    Ok(requests)
}

/// Places everything; the rate counts only the time of that.
fn rate(planner: &mut Planner, requests: &[Request], ids: &mut Ids) -> Result<f64> {
    let jobs: Vec<JobId> = requests.iter().map(|_| ids.next(Timestamp::EPOCH)).collect();
    let (mut time, mut placed) = (Duration::ZERO, 0);
    for (index, (batch, jobs)) in requests.chunks(SCAN_EVERY).zip(jobs.chunks(SCAN_EVERY)).enumerate() {
        let scanned = planner.scan(&batch[0]);
        let chosen = planner.choose(&batch[0]);
        ensure!(scanned == chosen, "decision {} differs from a look at every node", index * SCAN_EVERY);
        let start = Stopwatch::start();
        for (request, job) in batch.iter().zip(jobs) {
            placed += usize::from(planner.place(*job, request).is_some());
        }
        time += start.elapsed();
    }
    ensure!(placed == requests.len(), "only {placed} of {} found a node", requests.len());
    Ok(requests.len() as f64 / time.as_secs_f64())
}

fn best_fit_planner(nodes: usize, seed: u64, ids: &mut Ids) -> Result<Planner> {
    let cluster = Cluster::new(hosts(nodes, ids)?, seed);
    let policy: Arc<dyn Policy> = Arc::new(BestFit(Yardstick::of(&cluster)));
    Ok(Planner::new(cluster, policy))
}

fn best_fit(seed: u64) -> Result<f64> {
    let mut ids = Ids::seeded(seed);
    let mut planner = best_fit_planner(10_000, seed, &mut ids)?;
    let mut requests = instances(100_000, seed, &mut ids)?;
    // One demand after another of the same size would leave the index little to catch up with.
    Draws::new(seed).shuffle(&mut requests);
    rate(&mut planner, &requests, &mut ids)
}

/// Even over zones, and at most two instances of an app on a node.
fn spread(seed: u64) -> Result<f64> {
    let mut ids = Ids::seeded(seed);
    let mut planner = Planner::new(Cluster::new(hosts(5_000, &mut ids)?, seed), Arc::new(SpreadOut));
    let mut requests = instances(30_000, seed, &mut ids)?;
    for request in &mut requests {
        request.spread = Some(Spread { label: LabelKey::new("zone")?, max_skew: Some(1) });
        request.most_per_node = Some(2);
    }
    rate(&mut planner, &requests, &mut ids)
}

/// No two instances of an app on one node.
fn anti_affinity(seed: u64) -> Result<f64> {
    let mut ids = Ids::seeded(seed);
    let mut planner = best_fit_planner(5_000, seed, &mut ids)?;
    let mut requests = instances(30_000, seed, &mut ids)?;
    for request in &mut requests {
        request.affinities = vec![Affinity { toward: Toward::App(request.group.app), rule: Rule::Apart }];
    }
    rate(&mut planner, &requests, &mut ids)
}

/// The cluster is full of batch jobs, and services arrive: a decision finds the node and whom to stop there, stops
/// them and puts the service in their place.
fn preempt(seed: u64) -> Result<f64> {
    let mut ids = Ids::seeded(seed);
    let mut planner = best_fit_planner(5_000, seed, &mut ids)?;
    let batch = Group { app: AppId::NIL, process: None };
    let sizes = [(8_000, 16_384), (4_000, 8_192), (1_000, 4_096), (250, 256)];
    for (cpu_millis, mib) in sizes {
        let resources = Resources { cpu_millis, memory_bytes: mib << 20, ..Resources::ZERO };
        let mut request = Request::new(batch.clone(), Demand { resources, ..Demand::default() });
        request.priority = Priority::BATCH;
        // The large ones leave room for the small ones.
        let most = if cpu_millis == 250 { usize::MAX } else { 15_000 };
        let placed = (0..most).take_while(|_| planner.place(ids.next(Timestamp::EPOCH), &request).is_some());
        eprintln!("    {} batch jobs of {cpu_millis} thousandths of a core", placed.count());
    }
    let requests = instances(3_000, seed, &mut ids)?;
    let jobs: Vec<JobId> = requests.iter().map(|_| ids.next(Timestamp::EPOCH)).collect();
    let mut time = Duration::ZERO;
    let mut displaced = 0;
    for (index, (request, job)) in requests.iter().zip(jobs).enumerate() {
        let scanned = (index % SCAN_EVERY == 0).then(|| planner.preempt_by_scan(request));
        let start = Stopwatch::start();
        let eviction = planner.preempt(request);
        let put = eviction.as_ref().is_some_and(|eviction| {
            for victim in &eviction.victims {
                planner.release(eviction.choice.slot, *victim);
            }
            planner.put(job, request, eviction.choice)
        });
        time += start.elapsed();
        ensure!(put, "decision {index} found nobody to displace");
        displaced += eviction.as_ref().map_or(0, |eviction| eviction.victims.len());
        ensure!(
            scanned.is_none_or(|scanned| scanned == eviction),
            "decision {index} differs from a look at every node"
        );
    }
    ensure!(displaced > requests.len() / 2, "the cluster was not full: only {displaced} were displaced");
    Ok(requests.len() as f64 / time.as_secs_f64())
}
