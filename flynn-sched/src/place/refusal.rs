use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use flynn_core::NodeId;
use flynn_core::name::NodeName;
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::rule::Misfit;
use flynn_core::value::{Dimension, Resources};

/// Why a request got no node. As text it is a sentence for the app's developer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for.
    pub asked: Resources,
    /// Each node and why it was refused.
    pub rejected: Arc<[Rejected]>,
}

/// A node that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Why.
    pub why: Rejection,
}

/// Why a node was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The request does not fit on it.
    Misfit(Misfit),
    /// A volume that the request needs is on another node.
    VolumeElsewhere,
}

/// What several nodes were refused for alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Heading {
    TooLittle(Dimension),
    State(&'static str),
}

impl Heading {
    fn of(why: &Rejection) -> Self {
        match why {
            Rejection::Misfit(Misfit::TooLittle { dimension, .. }) => Self::TooLittle(*dimension),
            Rejection::Misfit(Misfit::NotReady(Liveness::Unseen)) => Self::State("not seen yet"),
            Rejection::Misfit(Misfit::NotReady(Liveness::Suspect)) => Self::State("suspected to be gone"),
            Rejection::Misfit(Misfit::NotReady(_)) => Self::State("lost"),
            Rejection::Misfit(Misfit::Closed(Scheduling::Draining)) => Self::State("draining"),
            Rejection::Misfit(Misfit::Closed(_)) => Self::State("cordoned"),
            Rejection::VolumeElsewhere => Self::State("without the volume it needs"),
            Rejection::Misfit(_) => Self::State("unfit"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.rejected.len();
        let mut headings: BTreeMap<Heading, Vec<&Rejected>> = BTreeMap::new();
        for rejected in &*self.rejected {
            headings.entry(Heading::of(&rejected.why)).or_default().push(rejected);
        }
        let mut clauses = headings.into_iter();
        match (clauses.next(), clauses.len()) {
            (None, _) => f.write_str("the cluster has no node"),
            (Some((Heading::TooLittle(dimension), nodes)), 0) => {
                let asked = Amount(dimension, self.asked.get(dimension));
                let are = if all == 1 { "node is" } else { "nodes are" };
                write!(f, "no node has {asked} of {dimension} left: {all} of {all} {are} too small")?;
                nearest(f, ", ", dimension, &nodes)
            }
            (Some(first), _) => {
                f.write_str("no node fits: ")?;
                for (index, (heading, nodes)) in std::iter::once(first).chain(clauses).enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    let are = if nodes.len() == 1 { "is" } else { "are" };
                    write!(f, "{comma}{} of {all} {are} ", nodes.len())?;
                    match heading {
                        Heading::State(state) => f.write_str(state)?,
                        Heading::TooLittle(dimension) => {
                            write!(f, "short of {dimension}")?;
                            nearest(f, " as ", dimension, &nodes)?;
                        }
                    }
                }
                Ok(())
            }
        }
    }
}

/// Names the node that misses the least.
fn nearest(f: &mut fmt::Formatter<'_>, lead: &str, dimension: Dimension, nodes: &[&Rejected]) -> fmt::Result {
    let misses = nodes.iter().filter_map(|rejected| match rejected.why {
        Rejection::Misfit(Misfit::TooLittle { free, asked, .. }) => Some((asked - free, &rejected.name)),
        _ => None,
    });
    match misses.min() {
        Some((missing, name)) => write!(f, "{lead}{name} lacks {}", Amount(dimension, missing)),
        None => Ok(()),
    }
}

/// An amount in the unit people use, rounded up.
pub(crate) struct Amount(pub(crate) Dimension, pub(crate) u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        match (self.0, self.1) {
            (Dimension::Cpu, millis) if millis % 1_000 == 0 => write!(f, "{} cores", millis / 1_000),
            (Dimension::Cpu, millis) => write!(f, "{millis} thousandths of a core"),
            (Dimension::Pids, pids) => write!(f, "{pids}"),
            (_, bytes) if bytes >= 10 << 30 || bytes % (1 << 30) == 0 => write!(f, "{} GiB", bytes.div_ceil(1 << 30)),
            (_, bytes) => write!(f, "{} MiB", bytes.div_ceil(MIB)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(whys: &[(&str, Rejection)], expect: &str) {
        let rejected = whys.iter().map(|(name, why)| Rejected {
            node: NodeId::NIL,
            name: NodeName::new(name).unwrap(),
            why: *why,
        });
        let asked = Resources { memory_bytes: 512 << 20, cpu_millis: 500, ..Resources::ZERO };
        assert_eq!(Refusal { asked, rejected: rejected.collect() }.to_string(), expect);
    }

    fn memory(free_mib: u64) -> Rejection {
        let (free, asked) = (free_mib << 20, 512 << 20);
        Rejection::Misfit(Misfit::TooLittle { dimension: Dimension::Memory, free, asked })
    }

    #[test]
    fn a_refusal_counts_the_nodes_and_names_the_nearest_miss() {
        check(&[], "the cluster has no node");
        check(
            &[("n1", memory(384)), ("n2", memory(0)), ("n3", memory(100))],
            "no node has 512 MiB of memory left: 3 of 3 nodes are too small, n1 lacks 128 MiB",
        );
        check(&[("n1", memory(511))], "no node has 512 MiB of memory left: 1 of 1 node is too small, n1 lacks 1 MiB");
        let cpu = Rejection::Misfit(Misfit::TooLittle { dimension: Dimension::Cpu, free: 250, asked: 500 });
        check(
            &[
                ("n1", memory(0)),
                ("n2", cpu),
                ("n3", Rejection::Misfit(Misfit::NotReady(Liveness::Lost))),
                ("n4", Rejection::VolumeElsewhere),
                ("n5", Rejection::Misfit(Misfit::NotReady(Liveness::Lost))),
            ],
            "no node fits: 1 of 5 is short of cpu as n2 lacks 250 thousandths of a core, 1 of 5 is short of memory as \
             n1 lacks 512 MiB, 2 of 5 are lost, 1 of 5 is without the volume it needs",
        );
    }
}
