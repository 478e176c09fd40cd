use std::sync::Arc;

use flynn_core::NodeId;
use flynn_core::value::{Dimension, Resources};

use super::{ClusterView, NodeView, Placer, Refusal, Rejected, Request};
use crate::seed::draw;

/// Spreads instances: the node with the fewest of the same app and process type, then the one whose
/// scarcest resource would be used least, then a fixed order drawn from the seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spread;

impl Placer for Spread {
    fn place(&self, cluster: &ClusterView, requests: &[Request], seed: u64) -> Vec<Result<NodeId, Refusal>> {
        let mut nodes: Vec<(u64, NodeView)> =
            cluster.nodes.values().map(|node| (draw(seed, node.node.id), node.clone())).collect();
        nodes.sort_by_key(|(order, view)| (*order, view.node.id));
        let mut refused: Vec<(&Request, Refusal)> = Vec::new();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            // Nodes only fill up within a call, so what was refused once stays refused.
            let alike = |other: &Request| (other.resources, &other.volumes) == (request.resources, &request.volumes);
            if let Some((_, refusal)) = refused.iter().find(|(other, _)| alike(other)) {
                answers.push(Err(refusal.clone()));
                continue;
            }
            let answer = choose(&mut nodes, request);
            if let Err(refusal) = &answer {
                refused.push((request, refusal.clone()));
            }
            answers.push(answer);
        }
        answers
    }
}

fn choose(nodes: &mut [(u64, NodeView)], request: &Request) -> Result<NodeId, Refusal> {
    let mut rejected = Vec::new();
    let mut best: Option<((u32, u64), &mut NodeView)> = None;
    for (_, view) in nodes {
        if let Err(why) = view.admits(request) {
            rejected.push(Rejected { node: view.node.id, name: view.node.spec.name.clone(), why });
            continue;
        }
        let alike = view.instances.get(&request.group).copied().unwrap_or(0);
        let score = (alike, dominant_share(view, &request.resources));
        if best.as_ref().is_none_or(|(least, _)| score < *least) {
            best = Some((score, view));
        }
    }
    let Some((_, view)) = best else {
        return Err(Refusal { asked: request.resources, rejected: Arc::from(rejected) });
    };
    view.take(&request.group, request.resources);
    Ok(view.node.id)
}

/// The share, in millionths, that would be used of the resource used most.
fn dominant_share(view: &NodeView, more: &Resources) -> u64 {
    let usable = view.node.status.capacity.minus(view.node.spec.reserved);
    let used = view.load.plus(*more);
    let share = |dimension| match (used.get(dimension), usable.get(dimension)) {
        (0, _) => 0,
        (_, 0) => u64::MAX,
        (used, usable) => u64::try_from(u128::from(used) * 1_000_000 / u128::from(usable)).unwrap_or(u64::MAX),
    };
    Dimension::ALL.into_iter().map(share).max().unwrap_or(0)
}
