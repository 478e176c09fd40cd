//! The index answers what a look at every node would, whatever happened before.

use flynn_core::JobId;
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::value::GpuRequest;
use flynn_sched::placement::{Cluster, Planner, Request};
use proptest::prelude::*;

use crate::world::{
    Happening, Placed, assert_books_balance, clusters, demand, group, happenings, hosts, ids, policies, requests,
};

fn go_on(planner: &mut Planner, placed: &mut Placed, job: JobId, happening: &Happening) {
    match happening {
        Happening::Place(request) => {
            let (chosen, scanned) = (planner.choose(request), planner.scan(request));
            assert_eq!(chosen, scanned, "{request:?}");
            let explanation = planner.explain(request);
            assert_eq!(chosen.is_some(), explanation.open > 0, "{explanation}");
            assert_eq!(planner.place(job, request), chosen);
            placed.extend(chosen.map(|choice| (choice.slot, job)));
        }
        Happening::Preempt(request) => {
            let eviction = planner.preempt(request);
            assert_eq!(eviction, planner.preempt_by_scan(request), "{request:?}");
            let Some(eviction) = eviction else { return };
            for victim in &eviction.victims {
                let resident = planner.release(eviction.choice.slot, *victim).unwrap();
                assert!(resident.priority < request.priority);
                placed.retain(|(_, job)| job != victim);
            }
            assert!(planner.put(job, request, eviction.choice), "the room was not enough");
            placed.push((eviction.choice.slot, job));
        }
        Happening::Release(at) => {
            if !placed.is_empty() {
                let (slot, job) = placed.swap_remove(at.index(placed.len()));
                assert!(planner.release(slot, job).is_some());
                assert!(planner.release(slot, job).is_none());
            }
        }
        Happening::Turn(at, open) => {
            let slots: Vec<_> = planner.cluster().sites().map(|(slot, _)| slot).collect();
            let scheduling = if *open { Scheduling::Open } else { Scheduling::Draining };
            planner.set_state(*at.get(&slots), Liveness::Ready, scheduling);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn index_and_scan_agree_for_every_policy(
        hosts in clusters(),
        seed in 0..4u64,
        happenings in happenings(),
        last in requests(),
    ) {
        let cluster = Cluster::new(hosts, seed);
        let jobs: Vec<JobId> = ids(happenings.len());
        for policy in policies(&cluster) {
            let (mut planner, mut placed) = (Planner::new(cluster.clone(), policy), Placed::new());
            for (happening, job) in happenings.iter().zip(&jobs) {
                go_on(&mut planner, &mut placed, *job, happening);
            }
            assert_books_balance(planner.cluster());
            prop_assert_eq!(planner.choose(&last), planner.scan(&last));
            // An index that has seen nothing of all that agrees with one that followed.
            let mut fresh = planner.cluster().clone();
            for (slot, job) in placed {
                fresh.release(slot, job);
            }
            assert_books_balance(&fresh);
        }
    }

    #[test]
    fn the_order_of_nodes_is_that_of_the_seed_and_not_of_their_coming(
        hosts in clusters(),
        seed in any::<u64>(),
        request in requests(),
    ) {
        let reversed: Vec<_> = hosts.iter().rev().cloned().collect();
        let (one, other) = (Cluster::new(hosts, seed), Cluster::new(reversed, seed));
        for (first, second) in policies(&one).into_iter().zip(policies(&other)) {
            let (mut first, mut second) = (Planner::new(one.clone(), first), Planner::new(other.clone(), second));
            prop_assert_eq!(first.choose(&request), second.choose(&request));
        }
    }
}

#[test]
fn a_reader_far_behind_the_log_looks_at_everything() {
    let cluster = Cluster::new(hosts(&[(64, 64, 0, ""); 10]), 1);
    for policy in policies(&cluster) {
        let mut planner = Planner::new(cluster.clone(), policy);
        let rare = Request::new(group(0, "web"), demand(1_000, 0));
        let frequent = Request::new(group(1, "web"), demand(1, 0));
        assert_eq!(planner.choose(&rare), planner.scan(&rare));
        for job in ids(1_000) {
            assert!(planner.place(job, &frequent).is_some());
        }
        assert_eq!(planner.choose(&rare), planner.scan(&rare));
    }
}

#[test]
fn a_thousand_different_demands_are_planned_within_bounded_memory() {
    let cluster = Cluster::new(hosts(&[(64, 64, 0, ""); 20]), 1);
    let policy = policies(&cluster).swap_remove(1);
    let mut planner = Planner::new(cluster, policy);
    for (job, cpu) in ids(1_000).into_iter().zip(1..) {
        let request = Request::new(group(0, "web"), demand(cpu, 0));
        let scanned = planner.scan(&request);
        assert_eq!(planner.place(job, &request), scanned);
    }
    assert_books_balance(planner.cluster());
}

#[test]
fn the_seed_decides_between_equal_nodes() {
    let first = |seed| {
        let cluster = Cluster::new(hosts(&[(4, 4, 2, ""); 30]), seed);
        policies(&cluster)
            .into_iter()
            .map(|policy| {
                let mut planner = Planner::new(cluster.clone(), policy);
                let mut request = Request::new(group(0, "web"), demand(100, 10));
                request.demand.gpus = GpuRequest::shared(500);
                let choice = planner.choose(&request).unwrap();
                planner.cluster().site(choice.slot).host().id
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
}
