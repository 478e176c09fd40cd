use flynn_core::rule::Room;

use super::{Asked, POINT, Policy, Score};
use crate::placement::{Cluster, Demand, Site};

/// By how much each resource is divided so that amounts of different resources can be added. What is 0 is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yardstick {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Thousandths of a GPU.
    pub gpu_millis: u64,
}

impl Yardstick {
    /// The greatest node of `cluster` in each resource.
    pub fn of(cluster: &Cluster) -> Self {
        let greatest =
            |amount: fn(&Room) -> u64| cluster.sites().map(|(_, site)| amount(&site.host().usable)).max().unwrap_or(0);
        Self {
            cpu_millis: greatest(|room| room.resources.cpu_millis),
            memory_bytes: greatest(|room| room.resources.memory_bytes),
            gpu_millis: greatest(|room| room.gpus.total().into()),
        }
    }

    /// For each resource that counts: what is free, and what is asked for.
    fn pairs(&self, demand: &Demand, site: &Site) -> impl Iterator<Item = (f64, f64)> {
        let (free, asked) = (site.free(), &demand.resources);
        let all = [
            (self.cpu_millis, free.resources.cpu_millis, asked.cpu_millis),
            (self.memory_bytes, free.resources.memory_bytes, asked.memory_bytes),
            (self.gpu_millis, free.gpus.total().into(), demand.gpus.total().into()),
        ];
        let counted = all.into_iter().filter(|(whole, ..)| *whole > 0);
        counted.map(|(whole, free, asked)| (free as f64 / whole as f64, asked as f64 / whole as f64))
    }

    fn count(&self) -> f64 {
        let all = [self.cpu_millis, self.memory_bytes, self.gpu_millis];
        all.into_iter().filter(|whole| *whole > 0).count().max(1) as f64
    }
}

/// The node on which the least is left: the mean over the resources of what is left, in whole points.
#[derive(Debug, Clone, Copy)]
pub struct BestFit(pub Yardstick);

impl Policy for BestFit {
    fn score(&self, demand: &Demand, site: &Site, _: Asked) -> Score {
        let share = 1.0 / self.0.count();
        let left: f64 = self.0.pairs(demand, site).map(|(free, asked)| (free - asked) * share).sum();
        whole_points(1.0 - left)
    }
}

/// The node whose free resources are least like what is asked for: the smallest product of the two, in whole points.
///
/// After Grandl et al., "Multi-resource packing for cluster schedulers" (SIGCOMM 2014), as the paper on fragmentation
/// gradient descent compares itself with it.
#[derive(Debug, Clone, Copy)]
pub struct DotProduct(pub Yardstick);

impl Policy for DotProduct {
    fn score(&self, demand: &Demand, site: &Site, _: Asked) -> Score {
        let product: f64 = self.0.pairs(demand, site).map(|(free, asked)| free * asked).sum();
        whole_points(1.0 - product / self.0.count())
    }
}

/// From 0 to 1 to whole points, as the published results have them.
pub(super) fn whole_points(share: f64) -> Score {
    (share * 100.0) as Score * POINT
}
