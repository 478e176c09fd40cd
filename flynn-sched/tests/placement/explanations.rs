//! Why there is no node, and what would help.

use flynn_core::JobId;
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::value::GpuRequest;
use flynn_sched::placement::{Affinity, Planner, Request, Rule, Spread, Toward};
use proptest::prelude::*;

use crate::world::{Happening, best_fit, clusters, demand, group, happenings, hosts, ids, place, requests, zone};

fn check(planner: &Planner, request: &Request, expect: &str) {
    assert_eq!(planner.explain(request).to_string(), expect);
}

#[test]
fn each_reason_is_counted_and_the_nearest_miss_named() {
    let mut planner = best_fit(hosts(&[(4, 4, 0, "a"), (2, 4, 0, "a"), (8, 8, 2, "b"), (1, 1, 0, "")]));
    let mut request = Request::new(group(0, "web"), demand(5_000, 0));
    check(&planner, &request, "1 of 4 nodes will do");
    request.demand.constraints = vec!["zone = a".parse().unwrap()];
    check(
        &planner,
        &request,
        "no node fits: 3 of 4 are short of cpu, 2 of 4 are not `zone = a`; nearest is n1, which lacks 1 core of cpu; \
         it would be placed if it asks for at most 4 cores of cpu (n1), or if `zone = a` is dropped or holds for n3",
    );
    request.demand.constraints.clear();
    let slot = planner.cluster().sites().find(|(_, site)| site.host().name.as_str() == "n3").unwrap().0;
    planner.set_state(slot, Liveness::Ready, Scheduling::Cordoned);
    check(
        &planner,
        &request,
        "no node fits: 3 of 4 are short of cpu, 1 of 4 is cordoned; nearest is n1, which lacks 1 core of cpu; \
         it would be placed if it asks for at most 4 cores of cpu (n1), or if n3 takes work again",
    );
    check(&best_fit(vec![]), &request, "the cluster has no node");
}

#[test]
fn neighbours_and_spreading_are_explained_too() {
    let mut planner = best_fit(hosts(&[(4, 4, 2, "a"), (1, 1, 0, "b")]));
    let mut request = Request::new(group(0, "web"), demand(2_000, 0));
    (request.spread, request.most_per_node) = (Some(Spread { label: zone(), max_skew: Some(1) }), Some(1));
    let jobs: Vec<JobId> = ids(1);
    assert_eq!(place(&mut planner, jobs[0], &request).as_deref(), Some("n1"));
    let text = planner.explain(&request).to_string();
    for part in ["1 of 2 is at 1 instances, the most for a node", "with a zone such as a that is ahead", "short of cpu"]
    {
        assert!(text.contains(part), "{text}");
    }
    let mut gpus = Request::new(group(1, "web"), demand(0, 0));
    gpus.demand.gpus = GpuRequest::whole(3);
    gpus.affinities = vec![Affinity { toward: Toward::Group(group(0, "web")), rule: Rule::With }];
    let text = planner.explain(&gpus).to_string();
    assert!(text.contains("nearest is n1, which has 2 of 3 whole GPUs"), "{text}");
    assert!(text.contains("if it asks for at most 2 whole GPUs (n1)"), "{text}");
}

#[test]
fn a_constraint_is_not_said_to_help_where_spreading_stands_in_the_way_without_it() {
    let mut planner = best_fit(hosts(&[(4, 4, 0, "a"), (8, 8, 0, "b"), (1, 1, 0, "c")]));
    let mut request = Request::new(group(0, "web"), demand(3_000, 0));
    request.spread = Some(Spread { label: zone(), max_skew: Some(1) });
    let jobs: Vec<JobId> = ids(2);
    for (job, (zone, node)) in jobs.into_iter().zip([("zone = b", "n2"), ("zone = a", "n1")]) {
        request.demand.constraints = vec![zone.parse().unwrap()];
        assert_eq!(place(&mut planner, job, &request).as_deref(), Some(node));
    }
    let text = planner.explain(&request).to_string();
    assert!(text.contains("2 of 3 are not `zone = a`"), "{text}");
    assert!(!text.contains("is dropped"), "{text}");
    // Where the third zone does not count, it does help.
    request.spread = Some(Spread { label: zone(), max_skew: Some(2) });
    let text = planner.explain(&request).to_string();
    assert!(text.contains("`zone = a` is dropped or holds for n2"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_said_to_help_helps(hosts in clusters(), happenings in happenings(), request in requests()) {
        let mut planner = best_fit(hosts);
        let jobs: Vec<JobId> = ids(happenings.len());
        for (happening, job) in happenings.iter().zip(jobs) {
            if let Happening::Place(request) = happening {
                planner.place(job, request);
            }
        }
        let explanation = planner.explain(&request);
        prop_assert_eq!(explanation.open > 0, planner.scan(&request).is_some());
        prop_assert!(explanation.open == 0 || explanation.remedies.is_empty());
        for remedy in &explanation.remedies {
            if let Some(changed) = remedy.apply(&request) {
                prop_assert!(planner.scan(&changed).is_some(), "{explanation} {remedy:?}");
            }
        }
    }
}
