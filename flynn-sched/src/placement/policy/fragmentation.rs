use std::collections::BTreeMap;

use flynn_core::rule::{Room, fits_into};
use flynn_core::value::{Devices, GpuRequest, Resources};

use super::vector::whole_points;
use super::{Asked, Policy, Score};
use crate::placement::{Cluster, Demand, Site};

/// Something that is expected to be asked for, and how often relative to the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// What is asked for.
    pub demand: Demand,
    /// How often. Weights need not add up to anything.
    pub weight: f64,
}

/// Fragmentation gradient descent: the node and GPU whose free GPUs lose least of their use for what is expected.
///
/// Free GPUs of a node are fragmented for a demand if it cannot run there or has no use for them; if it can run, only
/// those GPUs are fragmented that have too little left for it. The fragmentation of a node is the mean over what is
/// expected. After Weng et al., "Beware of fragmentation: scheduling GPU-sharing workloads with fragmentation gradient
/// descent" (USENIX ATC 2023).
///
/// It belongs to the cluster that it was made for, since it knows which labels of that cluster suit which demand.
#[derive(Debug, Clone)]
pub struct Fragmentation {
    /// By what they ask of GPUs.
    asks: Vec<Ask>,
    /// The share of what asks for no GPU.
    without: f64,
}

#[derive(Debug, Clone)]
struct Ask {
    gpus: GpuRequest,
    weight: f64,
    shapes: Vec<Shape>,
}

#[derive(Debug, Clone)]
struct Shape {
    resources: Resources,
    weight: f64,
    /// For each class of nodes whether its labels suit; empty if all do.
    classes: Vec<bool>,
}

impl Fragmentation {
    /// For what is `expected` on `cluster`.
    pub fn new(expected: &[Expected], cluster: &Cluster) -> Self {
        let total: f64 = expected.iter().map(|expected| expected.weight).sum();
        let mut asks: BTreeMap<GpuRequest, Ask> = BTreeMap::new();
        let mut without = 0.0;
        for Expected { demand, weight } in expected {
            let weight = weight / total;
            if demand.gpus.is_none() {
                without += weight;
                continue;
            }
            let suits = |class: &BTreeMap<_, _>| demand.constraints.iter().all(|constraint| constraint.holds(class));
            let classes = match demand.constraints.as_slice() {
                [] => Vec::new(),
                _ => cluster.classes().iter().map(|class| suits(class)).collect(),
            };
            let empty = Ask { gpus: demand.gpus, weight: 0.0, shapes: Vec::new() };
            let ask = asks.entry(demand.gpus).or_insert(empty);
            ask.weight += weight;
            ask.shapes.push(Shape { resources: demand.resources, weight, classes });
        }
        Self { asks: asks.into_values().collect(), without }
    }

    /// How many thousandths of GPUs are fragmented on a node of `class` that has `room`.
    fn fragmented(&self, class: u32, room: &Room) -> f64 {
        let free = room.gpus.free();
        let idle = f64::from(room.gpus.total());
        if idle == 0.0 {
            return 0.0;
        }
        let mut useless = self.without;
        let mut slivers = 0.0;
        for ask in &self.asks {
            if room.gpus.with_at_least(ask.gpus.millis) < ask.gpus.count {
                useless += ask.weight;
                continue;
            }
            let mut runs = 0.0;
            for shape in &ask.shapes {
                let suits = shape.classes.get(class as usize).copied().unwrap_or(true);
                if suits && fits_into(room, &shape.resources, GpuRequest::NONE).is_ok() {
                    runs += shape.weight;
                }
            }
            useless += ask.weight - runs;
            let small: u32 = free.iter().map(|free| if *free < ask.gpus.millis { u32::from(*free) } else { 0 }).sum();
            slivers += runs * f64::from(small);
        }
        useless * idle + slivers
    }

    /// The best way to give the GPUs, and its score.
    fn best(&self, demand: &Demand, site: &Site, before: f64) -> Option<(Score, Devices)> {
        let mut room = *site.free();
        let free = room.gpus;
        room.resources = room.resources.minus(demand.resources);
        let mut score_with = |devices: Devices| {
            room.gpus = free.take(devices, demand.gpus.millis)?;
            let drop = before - self.fragmented(site.class, &room);
            Some(whole_points(1.0 / (1.0 + (-drop / 1_000.0).exp())))
        };
        if !demand.gpus.is_shared() {
            let devices = if demand.gpus.is_none() { Devices::NONE } else { free.tightest(demand.gpus)? };
            return Some((score_with(devices)?, devices));
        }
        let mut best: Option<(Score, Devices)> = None;
        for (device, left) in free.free().iter().enumerate() {
            let seen = free.free()[..device].contains(left);
            if *left < demand.gpus.millis || seen {
                continue;
            }
            let devices = Devices::NONE.with(device);
            let score = score_with(devices)?;
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, devices));
            }
        }
        best
    }
}

impl Policy for Fragmentation {
    fn score(&self, demand: &Demand, site: &Site, asked: Asked) -> Score {
        self.best(demand, site, asked.gauge).map_or(0, |(score, _)| score)
    }

    fn devices(&self, demand: &Demand, site: &Site, asked: Asked) -> Option<Devices> {
        self.best(demand, site, asked.gauge).map(|(_, devices)| devices)
    }

    fn gauge(&self, site: &Site) -> f64 {
        self.fragmented(site.class, site.free())
    }
}
