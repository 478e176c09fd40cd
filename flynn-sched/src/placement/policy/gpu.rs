use flynn_core::value::WHOLE_GPU;

use super::{Asked, POINT, Policy, Score};
use crate::placement::{Demand, Site};

/// GPUs that are shared already, else idle GPUs of nodes where others are used, else idle nodes; among nodes alike the
/// smaller one. Jobs without GPUs go to the first node with room.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuPacking;

impl Policy for GpuPacking {
    fn score(&self, demand: &Demand, site: &Site, _: Asked) -> Score {
        if demand.gpus.is_none() {
            return 0;
        }
        let gpus = &site.free().gpus;
        let idle = Score::from(gpus.idle_count());
        let points = if usize::from(gpus.idle_count()) == gpus.len() {
            (33 - idle).max(idle)
        } else {
            let chosen = gpus.tightest(demand.gpus).unwrap_or_default();
            let free = chosen.iter().map(|device| Score::from(gpus.free()[device]));
            let (idle, shared): (Vec<Score>, Vec<Score>) = free.partition(|free| *free == Score::from(WHOLE_GPU));
            match idle.len() as Score {
                0 => (100 - shared.into_iter().map(|free| free / 10).sum::<Score>() / 10).max(50),
                idle => (50 - idle).max(33),
            }
        };
        points * POINT
    }
}

/// Nodes that have only jobs with GPUs in the same way (a part of one, or the same number), then nodes that have some,
/// then idle nodes, then others; among nodes alike the one with fewer free GPUs. Jobs without GPUs go to the first node
/// with room.
#[derive(Debug, Clone, Copy, Default)]
pub struct GpuClustering;

impl Policy for GpuClustering {
    fn score(&self, demand: &Demand, site: &Site, _: Asked) -> Score {
        const MOST: Score = 8_000;
        if demand.gpus.is_none() {
            return 0;
        }
        let alike = site.gpu_tenants_like(demand.gpus) > 0;
        let quarter = match (alike, site.gpu_ways()) {
            (true, 1) => 75,
            (true, _) => 50,
            (false, 0) => 25,
            (false, _) => 0,
        };
        let used = (MOST - Score::from(site.free().gpus.total())).max(0);
        (quarter + 25 * used / MOST) * POINT
    }
}
