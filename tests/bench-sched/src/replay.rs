//! One run of a list of pods against a cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flynn_core::{AppId, Ids, JobId, Timestamp};
use flynn_sched::placement::{
    BestFit, Cluster, DotProduct, Fragmentation, GpuClustering, GpuPacking, Group, Host, Planner, Policy, Random,
    Request, Yardstick,
};

use crate::arrivals::expected;
use crate::openb::Pod;
use crate::stopwatch::Stopwatch;

/// The policies of the paper by its names, fastest last.
pub(crate) const POLICIES: [&str; 6] = ["Random", "DotProd", "GpuClustering", "GpuPacking", "BestFit", "FGD"];

/// What one run showed.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// For each percentage of arrivals the sum of allocated shares and the number of steps.
    pub(crate) steps: Vec<(f64, u32)>,
    pub(crate) decisions: usize,
    pub(crate) time: Duration,
    /// How long the looks at every node took, and how many there were.
    pub(crate) scans: (Duration, u32),
}

impl Run {
    /// The mean allocated share in percent while so many percent of the capacity had arrived.
    pub(crate) fn allocated_at(&self, percent: usize) -> Result<f64> {
        let (sum, steps) = self.steps.get(percent).copied().filter(|(_, steps)| *steps > 0).context("no such step")?;
        Ok(100.0 * sum / f64::from(steps))
    }
}

pub(crate) fn policy(name: &str, pods: &[Pod], cluster: &Cluster) -> Result<Arc<dyn Policy>> {
    let yardstick = Yardstick { cpu_millis: 128_000, memory_bytes: 0, gpu_millis: 8_000 };
    Ok(match name {
        "Random" => Arc::new(Random),
        "DotProd" => Arc::new(DotProduct(yardstick)),
        "GpuClustering" => Arc::new(GpuClustering),
        "GpuPacking" => Arc::new(GpuPacking),
        "BestFit" => Arc::new(BestFit(yardstick)),
        "FGD" => Arc::new(Fragmentation::new(&expected(pods), cluster)),
        other => anyhow::bail!("no policy {other}"),
    })
}

/// Each pod is tried once and stays if there is a node for it. Every `scan_every` decisions the same is asked of all
/// nodes one by one, and both have to agree.
pub(crate) fn run(
    hosts: Vec<Host>,
    pods: &[Pod],
    order: &[usize],
    name: &str,
    seed: u64,
    scan_every: Option<usize>,
) -> Result<Run> {
    let cluster = Cluster::new(hosts, seed);
    let capacity: u64 = cluster.sites().map(|(_, site)| u64::from(site.host().usable.gpus.total())).sum();
    let policy = policy(name, pods, &cluster)?;
    let mut planner = Planner::new(cluster, policy);
    let group = Group { app: AppId::NIL, process: None };
    let requests: Vec<Request> = pods.iter().map(|pod| Request::new(group.clone(), pod.demand.clone())).collect();
    let mut ids = Ids::seeded(seed);
    let jobs: Vec<JobId> = order.iter().map(|_| ids.next(Timestamp::EPOCH)).collect();
    let mut result = Run { steps: vec![(0.0, 0); 200], decisions: order.len(), ..Run::default() };
    let (mut arrived, mut allocated) = (0, 0);
    let mut start = Stopwatch::start();
    for (index, (pod, job)) in order.iter().zip(jobs).enumerate() {
        let request = &requests[*pod];
        let mut scanned = None;
        if scan_every.is_some_and(|every| index % every == every - 1) {
            result.time += start.elapsed();
            let begin = Stopwatch::start();
            scanned = Some(planner.scan(request));
            result.scans.0 += begin.elapsed();
            result.scans.1 += 1;
            start = Stopwatch::start();
        }
        let choice = planner.place(job, request);
        ensure!(scanned.is_none_or(|scanned| scanned == choice), "decision {index} differs from a look at every node");
        let total = u64::from(request.demand.gpus.total());
        arrived += total;
        allocated += if choice.is_some() { total } else { 0 };
        let step = (200 * arrived + capacity) / (2 * capacity);
        if let Some((sum, steps)) = result.steps.get_mut(step as usize) {
            *sum += allocated as f64 / capacity as f64;
            *steps += 1;
        }
    }
    result.time += start.elapsed();
    Ok(result)
}
