use std::ops::ControlFlow;

use flynn_core::name::LabelValue;
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::rule::{Misfit, fits_into};
use flynn_core::value::{Dimension, GpuRequest, Resources};

use super::Score;
use super::cluster::{Cluster, Slot, Spots};
use super::demand::{Request, Rule, Toward};
use super::policy::POINT;
use super::spreading::Domains;

/// Why a node cannot have a job. A node can have several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The node is not there.
    NotReady(Liveness),
    /// The node takes no work.
    Closed(Scheduling),
    /// The volumes of the job are on another node.
    VolumeElsewhere,
    /// The labels of the node are not what this constraint of the demand, counted from 0, says.
    Constraint(usize),
    /// It does not fit into what is free, in one dimension.
    Misfit(Misfit),
    /// The node has no instance of what this affinity of the request, counted from 0, says.
    Without(usize),
    /// The node has an instance of what this affinity of the request, counted from 0, says.
    Beside(usize),
    /// The node has as many instances of the group as one node may have.
    TooManyHere {
        /// How many it has.
        here: u32,
        /// How many it may have.
        most: u32,
    },
    /// The node has not the label that instances are spread over.
    NoDomain,
    /// Another instance would make the difference between the values of a label too great.
    Skew {
        /// The value that the node has.
        value: LabelValue,
        /// How many instances there are with this value.
        here: u32,
        /// How many there are with the value that has the fewest.
        least: u32,
    },
}

/// What a request asks of the jobs that are there, looked up once.
pub(super) struct Surroundings<'a> {
    pub(super) request: &'a Request,
    /// Where instances of its group are.
    pub(super) own: Option<&'a Spots>,
    /// For each affinity, where instances of what it names are; nothing if it says nothing this time.
    pub(super) affinities: Vec<Option<(Rule, &'a Spots)>>,
    pub(super) domains: Option<Domains>,
}

static NOWHERE: Spots = Spots::new();

impl<'a> Surroundings<'a> {
    pub(super) fn of(cluster: &'a Cluster, request: &'a Request) -> Self {
        let affinities = request.affinities.iter().map(|affinity| {
            let spots = match &affinity.toward {
                Toward::App(app) => cluster.of_app(*app),
                Toward::Group(group) => cluster.of_group(group),
            };
            let is_first = affinity.rule == Rule::With && spots.is_none() && affinity.toward.includes(&request.group);
            (!is_first).then(|| (affinity.rule, spots.unwrap_or(&NOWHERE)))
        });
        Self { request, own: cluster.of_group(&request.group), affinities: affinities.collect(), domains: None }
    }

    pub(super) fn own_at(&self, slot: Slot) -> u32 {
        self.own.and_then(|spots| spots.get(&slot)).copied().unwrap_or(0)
    }

    /// What the instances on a node are worth, for better or worse.
    pub(super) fn bonus(&self, slot: Slot) -> Score {
        let worth = self.affinities.iter().flatten().map(|(rule, spots)| match rule {
            Rule::Prefer(weight) if spots.contains_key(&slot) => Score::from(*weight) * POINT,
            _ => 0,
        });
        worth.sum()
    }

    /// Finds what the instances that are there already say against a node.
    pub(super) fn crowding(&self, slot: Slot, found: &mut impl FnMut(Obstacle) -> ControlFlow<()>) -> ControlFlow<()> {
        for (index, affinity) in self.affinities.iter().enumerate() {
            match affinity {
                Some((Rule::With, spots)) if !spots.contains_key(&slot) => found(Obstacle::Without(index))?,
                Some((Rule::Apart, spots)) if spots.contains_key(&slot) => found(Obstacle::Beside(index))?,
                _ => {}
            }
        }
        if let Some(most) = self.request.most_per_node {
            let here = self.own_at(slot);
            if here >= most {
                found(Obstacle::TooManyHere { here, most })?;
            }
        }
        ControlFlow::Continue(())
    }

    pub(super) fn is_free(&self, slot: Slot) -> bool {
        self.crowding(slot, &mut |_| ControlFlow::Break(())).is_continue()
    }
}

/// Finds everything that speaks against a node, until `found` has enough. There is no other judgement: a plan, an
/// explanation and a question without consequences all ask here.
pub(super) fn obstacles(
    cluster: &Cluster,
    around: &Surroundings<'_>,
    slot: Slot,
    found: &mut impl FnMut(Obstacle) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let (site, request) = (cluster.site(slot), around.request);
    if site.host.liveness != Liveness::Ready {
        found(Obstacle::NotReady(site.host.liveness))?;
    }
    if site.host.scheduling != Scheduling::Open {
        found(Obstacle::Closed(site.host.scheduling))?;
    }
    if request.volumes.iter().any(|holder| *holder != site.host.id) {
        found(Obstacle::VolumeElsewhere)?;
    }
    for (index, constraint) in request.demand.constraints.iter().enumerate() {
        if !constraint.holds(&site.host.labels) {
            found(Obstacle::Constraint(index))?;
        }
    }
    if fits_into(&site.free, &request.demand.resources, request.demand.gpus).is_err() {
        for dimension in Dimension::ALL {
            let amount = request.demand.resources.get(dimension);
            if let Err(misfit) = fits_into(&site.free, &only(dimension, amount), GpuRequest::NONE) {
                found(Obstacle::Misfit(misfit))?;
            }
        }
        if let Err(misfit) = fits_into(&site.free, &Resources::ZERO, request.demand.gpus) {
            found(Obstacle::Misfit(misfit))?;
        }
    }
    around.crowding(slot, found)?;
    match &around.domains {
        Some(domains) => domains.obstacle(slot).map_or(ControlFlow::Continue(()), found),
        None => ControlFlow::Continue(()),
    }
}

fn only(dimension: Dimension, amount: u64) -> Resources {
    let mut resources = Resources::ZERO;
    match dimension {
        Dimension::Cpu => resources.cpu_millis = amount,
        Dimension::Memory => resources.memory_bytes = amount,
        Dimension::Disk => resources.disk_bytes = amount,
        Dimension::Pids => resources.pids = amount,
    }
    resources
}
