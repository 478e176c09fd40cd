//! In which order pods arrive, and what a policy may expect of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use flynn_core::value::Resources;
use flynn_sched::placement::{Demand, Expected};

use crate::draw::Draws;
use crate::openb::Pod;

/// The pods in an order drawn from `seed`, then pods drawn with replacement for as long as all together ask for at most
/// 130 % of `capacity`, which is in thousandths of a GPU.
pub(crate) fn arrivals(pods: &[Pod], copies: usize, capacity: u64, seed: u64) -> Vec<usize> {
    let mut draws = Draws::new(seed);
    let mut order: Vec<usize> = (0..copies).flat_map(|_| 0..pods.len()).collect();
    draws.shuffle(&mut order);
    let total = |pod: usize| u64::from(pods[pod].demand.gpus.total());
    let mut asked: u64 = order.iter().map(|pod| total(*pod)).sum();
    loop {
        let pod = draws.below(pods.len());
        asked += total(pod);
        if asked * 100 > capacity * 130 {
            return order;
        }
        order.push(pod);
    }
}

/// The most frequent demands, memory apart, that together are at least 95 % of the pods.
pub(crate) fn expected(pods: &[Pod]) -> Vec<Expected> {
    let mut counts = BTreeMap::new();
    for pod in pods {
        let Demand { resources, gpus, constraints, .. } = &pod.demand;
        let models: Vec<String> = constraints.iter().map(ToString::to_string).collect();
        let key = (resources.cpu_millis, gpus.millis, gpus.count, models);
        let resources = Resources { cpu_millis: resources.cpu_millis, ..Resources::ZERO };
        let demand = Demand { resources, ..pod.demand.clone() };
        counts.entry(key).or_insert((demand, 0)).1 += 1;
    }
    let mut counts: Vec<(Demand, usize)> = counts.into_values().rev().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let mut covered = 0;
    let needed = counts.into_iter().take_while(|(_, count)| {
        let goes_on = covered * 100 < pods.len() * 95;
        covered += count;
        goes_on
    });
    needed.map(|(demand, count)| Expected { demand, weight: count as f64 }).collect()
}

#[cfg(test)]
mod tests {
    use flynn_core::value::GpuRequest;

    use super::*;

    fn pods(counts: &[(u64, usize)]) -> Vec<Pod> {
        let pod = |cpu_millis| {
            let resources = Resources { cpu_millis, memory_bytes: cpu_millis * 7, ..Resources::ZERO };
            let demand = Demand { resources, gpus: GpuRequest::whole(1), ..Demand::default() };
            Pod { name: String::new(), demand }
        };
        counts.iter().flat_map(|(cpu, count)| std::iter::repeat_n(pod(*cpu), *count)).collect()
    }

    #[test]
    fn arrivals_are_the_list_and_then_draws_up_to_the_limit() {
        let pods = pods(&[(1, 50), (2, 50)]);
        let order = arrivals(&pods, 1, 100_000, 3);
        assert_eq!(order.len(), 130);
        let mut first = order[..100].to_vec();
        assert_ne!(first, (0..100).collect::<Vec<_>>());
        first.sort_unstable();
        assert_eq!(first, (0..100).collect::<Vec<_>>());
        assert_ne!(order, arrivals(&pods, 1, 100_000, 4));
    }

    #[test]
    fn the_rare_is_not_expected() {
        let expected = expected(&pods(&[(1, 60), (2, 34), (3, 5), (4, 1)]));
        let weights: Vec<f64> = expected.iter().map(|expected| expected.weight).collect();
        assert_eq!(weights, [60.0, 34.0, 5.0]);
        assert!(expected.iter().all(|expected| expected.demand.resources.memory_bytes == 0));
    }
}
