use flynn_core::value::Devices;

use super::{Asked, Policy, Score};
use crate::placement::{Demand, Site};
use crate::seed::{draw, mix};

/// Any node, and any of its GPUs, with equal chances. What others are measured against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Policy for Random {
    fn score(&self, _: &Demand, site: &Site, asked: Asked) -> Score {
        (draw(asked.draw, site.host().id) >> 2) as Score
    }

    fn devices(&self, demand: &Demand, site: &Site, asked: Asked) -> Option<Devices> {
        let free = site.free().gpus.free().iter().enumerate();
        let enough = free.filter(|(_, free)| **free >= demand.gpus.millis);
        let mut order: Vec<(u64, usize)> =
            enough.map(|(device, _)| (mix(asked.draw ^ mix(device as u64)), device)).collect();
        order.sort_unstable();
        let chosen = order.get(..usize::from(demand.gpus.count))?;
        Some(chosen.iter().fold(Devices::NONE, |devices, (_, device)| devices.with(*device)))
    }

    fn lasts(&self) -> bool {
        false
    }
}
