use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use flynn_core::NodeId;
use flynn_core::name::NodeName;
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::rule::{Bounds, Misfit};
use flynn_core::value::{Amount, Dimension, GpuRequest};

use super::cluster::Cluster;
use super::demand::Request;
use super::obstacle::{Obstacle, Surroundings, obstacles};

/// What speaks against each node, taken together. As text it is a sentence for whoever waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    request: Request,
    /// How many nodes there are.
    pub nodes: usize,
    /// On how many of them nothing speaks against the request.
    pub open: usize,
    /// What speaks against the others, the most frequent first. A node counts for each of its obstacles.
    pub against: Vec<Against>,
    /// The node against which the least speaks; nothing if there is one against which nothing does.
    pub nearest: Option<NearMiss>,
    /// Single changes each of which would give the request a node, those that open most nodes first.
    pub remedies: Vec<Remedy>,
}

/// One kind of obstacle, and how many nodes have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// One of the obstacles of this kind.
    pub example: Obstacle,
    /// How many nodes have one.
    pub nodes: usize,
}

/// A node that nearly would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: NodeName,
    /// All that speaks against it.
    pub obstacles: Vec<Obstacle>,
}

/// One change that would give a request a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// On how many nodes it could be then, for the change that helps most of them.
    pub nodes: usize,
    /// A node on which it could be then.
    pub name: NodeName,
    /// What is in the way there, and nothing else.
    pub obstacle: Obstacle,
}

/// Obstacles alike: what of them is the same on each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    NotReady(Away),
    Closed(bool),
    VolumeElsewhere,
    Constraint(usize),
    TooLittle(Dimension),
    TooFewGpus,
    Without(usize),
    Beside(usize),
    TooManyHere,
    NoDomain,
    Skew,
}

/// In what way a node is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Away {
    Unseen,
    Suspect,
    Lost,
}

impl Kind {
    fn of(obstacle: &Obstacle) -> Self {
        match obstacle {
            Obstacle::NotReady(Liveness::Unseen) => Self::NotReady(Away::Unseen),
            Obstacle::NotReady(Liveness::Suspect) => Self::NotReady(Away::Suspect),
            Obstacle::NotReady(_) => Self::NotReady(Away::Lost),
            Obstacle::Closed(scheduling) => Self::Closed(*scheduling == Scheduling::Draining),
            Obstacle::VolumeElsewhere => Self::VolumeElsewhere,
            Obstacle::Constraint(index) => Self::Constraint(*index),
            Obstacle::Misfit(Misfit::TooLittle { dimension, .. }) => Self::TooLittle(*dimension),
            Obstacle::Misfit(_) => Self::TooFewGpus,
            Obstacle::Without(index) => Self::Without(*index),
            Obstacle::Beside(index) => Self::Beside(*index),
            Obstacle::TooManyHere { .. } => Self::TooManyHere,
            Obstacle::NoDomain => Self::NoDomain,
            Obstacle::Skew { .. } => Self::Skew,
        }
    }
}

impl Explanation {
    pub(super) fn of(cluster: &Cluster, around: &Surroundings<'_>) -> Self {
        let mut against: BTreeMap<Kind, Against> = BTreeMap::new();
        let mut single: BTreeMap<Kind, Remedy> = BTreeMap::new();
        let mut nearest: Option<((usize, u64), NearMiss)> = None;
        let mut open = 0;
        for (slot, site) in cluster.sites() {
            let mut all = Vec::new();
            let _ = obstacles(cluster, around, slot, &mut |obstacle| {
                all.push(obstacle);
                ControlFlow::Continue(())
            });
            for obstacle in &all {
                let entry = against.entry(Kind::of(obstacle));
                entry.or_insert_with(|| Against { example: obstacle.clone(), nodes: 0 }).nodes += 1;
            }
            let name = &site.host().name;
            match all.as_slice() {
                [] => open += 1,
                [obstacle] => {
                    let remedy = Remedy { nodes: 0, name: name.clone(), obstacle: obstacle.clone() };
                    let kept = single.entry(Kind::of(obstacle)).or_insert_with(|| remedy.clone());
                    let nodes = kept.nodes + 1;
                    if distance(obstacle) < distance(&kept.obstacle) {
                        *kept = remedy;
                    }
                    kept.nodes = nodes;
                }
                _ => {}
            }
            let miss = (all.len(), all.iter().map(distance).fold(0, u64::saturating_add));
            if nearest.as_ref().is_none_or(|(least, _)| miss < *least) {
                nearest = Some((miss, NearMiss { node: site.host().id, name: name.clone(), obstacles: all }));
            }
        }
        let mut against: Vec<Against> = against.into_values().collect();
        against.sort_by_key(|against| Reverse(against.nodes));
        let mut remedies: Vec<Remedy> = if open > 0 { Vec::new() } else { single.into_values().collect() };
        remedies.retain(|remedy| remedy.obstacle != Obstacle::VolumeElsewhere);
        remedies.sort_by_key(|remedy| Reverse(remedy.nodes));
        let nearest = nearest.map(|(_, nearest)| nearest).filter(|_| open == 0);
        let (request, nodes) = (around.request.clone(), cluster.sites().len());
        Self { request, nodes, open, against, nearest, remedies }
    }

    fn words(&self, obstacle: &Obstacle) -> String {
        let request = &self.request;
        match obstacle {
            Obstacle::NotReady(Liveness::Unseen) => "not seen yet".to_owned(),
            Obstacle::NotReady(Liveness::Suspect) => "suspected to be gone".to_owned(),
            Obstacle::NotReady(_) => "lost".to_owned(),
            Obstacle::Closed(Scheduling::Draining) => "draining".to_owned(),
            Obstacle::Closed(_) => "cordoned".to_owned(),
            Obstacle::VolumeElsewhere => "without the volume it needs".to_owned(),
            Obstacle::Constraint(index) => match request.demand.constraints.get(*index) {
                Some(constraint) => format!("not `{constraint}`"),
                None => "not as its labels must be".to_owned(),
            },
            Obstacle::Misfit(Misfit::TooLittle { dimension, .. }) => format!("short of {dimension}"),
            Obstacle::Misfit(_) => "short of GPUs".to_owned(),
            Obstacle::Without(index) => format!("without {}", self.toward(*index)),
            Obstacle::Beside(index) => format!("beside {}", self.toward(*index)),
            Obstacle::TooManyHere { most, .. } => format!("at {most} instances, the most for a node"),
            Obstacle::NoDomain => format!("without the label {}", self.label()),
            Obstacle::Skew { value, .. } => format!("with a {} such as {value} that is ahead of another", self.label()),
        }
    }

    fn toward(&self, index: usize) -> String {
        self.request.affinities.get(index).map_or_else(String::new, |affinity| affinity.toward.to_string())
    }

    fn label(&self) -> &str {
        self.request.spread.as_ref().map_or("label", |spread| spread.label.as_str())
    }

    fn missing(&self, obstacle: &Obstacle) -> String {
        match obstacle {
            Obstacle::Misfit(Misfit::TooLittle { dimension, free, asked }) => {
                format!("lacks {} of {dimension}", lack(*dimension, asked - free))
            }
            Obstacle::Misfit(Misfit::TooFewGpus { free, asked, millis }) => {
                let whole = GpuRequest { count: *asked, millis: *millis };
                format!("has {free} of {whole}")
            }
            Obstacle::Skew { here, least, .. } => {
                format!("has a {} with {here} instances where another has {least}", self.label())
            }
            other => format!("is {}", self.words(other)),
        }
    }
}

/// How far an obstacle is from being none, where that can be said.
fn distance(obstacle: &Obstacle) -> u64 {
    match obstacle {
        Obstacle::Misfit(Misfit::TooLittle { free, asked, .. }) => {
            let missing = u128::from(asked - free) * 1_000_000 / u128::from((*asked).max(1));
            u64::try_from(missing).unwrap_or(u64::MAX)
        }
        Obstacle::Misfit(Misfit::TooFewGpus { free, asked, .. }) => {
            u64::from(asked - free) * 1_000_000 / u64::from((*asked).max(1))
        }
        Obstacle::TooManyHere { here, most } => u64::from(here - most),
        Obstacle::Skew { here, least, .. } => u64::from(here - least),
        _ => 1_000_000,
    }
}

/// An amount that is missing, in whole units that are enough.
fn lack(dimension: Dimension, missing: u64) -> Amount {
    const MIB: u64 = 1 << 20;
    match dimension {
        Dimension::Memory | Dimension::Disk => Amount(dimension, missing.div_ceil(MIB).saturating_mul(MIB)),
        Dimension::Cpu | Dimension::Pids => Amount(dimension, missing),
    }
}

impl NearMiss {
    /// Whether there is more to say of it than that it has an obstacle which was counted.
    fn says_more(&self) -> bool {
        match self.obstacles.as_slice() {
            [Obstacle::Misfit(_) | Obstacle::Skew { .. }] => true,
            [_] => false,
            _ => true,
        }
    }
}

impl Remedy {
    /// The request with the change made; nothing if it is the cluster that has to change.
    pub fn apply(&self, request: &Request) -> Option<Request> {
        let mut changed = request.clone();
        match &self.obstacle {
            Obstacle::Constraint(index) => drop(changed.demand.constraints.remove(*index)),
            Obstacle::Without(index) | Obstacle::Beside(index) => drop(changed.affinities.remove(*index)),
            Obstacle::TooManyHere { here, .. } => changed.most_per_node = Some(here + 1),
            Obstacle::NoDomain => changed.spread.as_mut()?.max_skew = None,
            Obstacle::Skew { here, least, .. } => changed.spread.as_mut()?.max_skew = Some(here + 1 - least),
            Obstacle::Misfit(Misfit::TooLittle { dimension, free, .. }) => {
                let resources = &mut changed.demand.resources;
                *match dimension {
                    Dimension::Cpu => &mut resources.cpu_millis,
                    Dimension::Memory => &mut resources.memory_bytes,
                    Dimension::Disk => &mut resources.disk_bytes,
                    Dimension::Pids => &mut resources.pids,
                } = *free;
            }
            Obstacle::Misfit(Misfit::TooFewGpus { free: 0, .. }) => changed.demand.gpus = GpuRequest::NONE,
            Obstacle::Misfit(Misfit::TooFewGpus { free, .. }) => changed.demand.gpus.count = *free,
            _ => return None,
        }
        Some(changed)
    }

    fn words(&self, of: &Explanation) -> String {
        let name = &self.name;
        match &self.obstacle {
            Obstacle::NotReady(_) => format!("{name} comes back"),
            Obstacle::Closed(_) => format!("{name} takes work again"),
            Obstacle::Constraint(index) => match of.request.demand.constraints.get(*index) {
                Some(constraint) => format!("`{constraint}` is dropped or holds for {name}"),
                None => format!("the labels of {name} are changed"),
            },
            Obstacle::Without(index) => format!("{} gets to {name}, or need not be there", of.toward(*index)),
            Obstacle::Beside(index) => format!("{} leaves {name}, or may be beside it", of.toward(*index)),
            Obstacle::TooManyHere { here, .. } => format!("{} instances are allowed on a node", here + 1),
            Obstacle::NoDomain => format!("{name} gets the label {}", of.label()),
            Obstacle::Skew { here, least, .. } => {
                format!("a difference of {} between values of {} is allowed", here + 1 - least, of.label())
            }
            Obstacle::Misfit(Misfit::TooLittle { dimension, free, asked }) => match free {
                // No instance can be that small.
                free if *free < Bounds::LEAST.get(*dimension) => {
                    format!("{} of {dimension} gets free on {name}", lack(*dimension, asked - free))
                }
                0 => format!("it asks for no {dimension} ({name})"),
                free => format!("it asks for at most {} of {dimension} ({name})", Amount(*dimension, *free)),
            },
            Obstacle::Misfit(Misfit::TooFewGpus { free: 0, .. }) => format!("{name} gets GPUs, or it asks for none"),
            Obstacle::Misfit(Misfit::TooFewGpus { free, millis, .. }) => {
                format!("it asks for at most {} ({name})", GpuRequest { count: *free, millis: *millis })
            }
            other => of.words(other),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.nodes;
        if all == 0 {
            return f.write_str("the cluster has no node");
        }
        if self.open > 0 {
            return write!(f, "{} of {all} nodes will do", self.open);
        }
        let nearest = self.nearest.as_ref();
        match self.against.as_slice() {
            [Against { example: Obstacle::Misfit(Misfit::TooLittle { dimension, asked, .. }), .. }] => {
                let are = if all == 1 { "node is" } else { "nodes are" };
                let asked = Amount(*dimension, *asked);
                write!(f, "no node has {asked} of {dimension} left: {all} of {all} {are} too small")?;
                if let Some(NearMiss { name, obstacles, .. }) = nearest
                    && let [Obstacle::Misfit(Misfit::TooLittle { free, asked, .. })] = obstacles.as_slice()
                {
                    write!(f, ", {name} lacks {}", lack(*dimension, asked - free))?;
                }
            }
            kinds => {
                f.write_str("no node fits: ")?;
                for (index, Against { example, nodes }) in kinds.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    let are = if *nodes == 1 { "is" } else { "are" };
                    write!(f, "{comma}{nodes} of {all} {are} {}", self.words(example))?;
                }
                if let Some(nearest) = nearest.filter(|nearest| nearest.says_more()) {
                    let missing: Vec<String> =
                        nearest.obstacles.iter().map(|obstacle| self.missing(obstacle)).collect();
                    let missing = missing.join(" and ").replace(" and lacks ", " and ");
                    write!(f, "; nearest is {}, which {missing}", nearest.name)?;
                }
            }
        }
        const MOST: usize = 3;
        for (index, remedy) in self.remedies.iter().take(MOST).enumerate() {
            f.write_str(if index == 0 { "; it would be placed if " } else { ", or if " })?;
            f.write_str(&remedy.words(self))?;
        }
        Ok(())
    }
}
