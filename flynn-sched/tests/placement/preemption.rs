//! Who makes room for whom.

use flynn_core::JobId;
use flynn_core::value::GpuRequest;
use flynn_sched::placement::{Affinity, Eviction, Planner, Priority, Request, Rule, Toward};

use crate::world::{best_fit, demand, group, hosts, ids, name, place};

fn fill(
    planner: &mut Planner,
    jobs: &mut impl Iterator<Item = JobId>,
    node: usize,
    load: &[(u64, Priority)],
) -> Vec<JobId> {
    let home = hosts(&vec![(1, 1, 0, ""); node])[node - 1].id;
    let placed = load.iter().map(|(cpu, priority)| {
        let mut request = Request::new(group(0, "batch"), demand(*cpu, 0));
        (request.priority, request.volumes) = (*priority, [home].into());
        let job = jobs.next().unwrap();
        assert!(place(planner, job, &request).is_some());
        job
    });
    placed.collect()
}

fn check(planner: &mut Planner, request: &Request, node: &str, mut victims: Vec<JobId>) {
    let Eviction { choice, victims: found } = planner.preempt(request).unwrap();
    victims.sort_unstable();
    assert_eq!((name(planner, choice).as_str(), found), (node, victims));
    assert_eq!(planner.preempt(request), planner.preempt_by_scan(request));
}

#[test]
fn the_lowest_priority_then_the_fewest_then_the_least_waste() {
    let low = Priority::BATCH;
    let middle = Priority(80);
    let mut planner = best_fit(hosts(&[(4, 4, 0, ""), (4, 4, 0, ""), (4, 4, 0, "")]));
    let mut jobs = ids(20).into_iter();
    fill(&mut planner, &mut jobs, 1, &[(4_000, middle)]);
    let second = fill(&mut planner, &mut jobs, 2, &[(1_000, low), (1_000, low), (2_000, Priority::SERVICE)]);
    let third = fill(&mut planner, &mut jobs, 3, &[(1_500, low), (2_500, low)]);
    let request = |cpu| Request::new(group(1, "web"), demand(cpu, 0));
    check(&mut planner, &request(1_000), "n2", vec![second[0].min(second[1])]);
    check(&mut planner, &request(2_000), "n3", vec![third[1]]);
    check(&mut planner, &request(4_000), "n3", third.clone());
    let batch = Request { priority: low, ..request(1_000) };
    assert_eq!(planner.preempt(&batch), None, "equals do not displace each other");
    let system = Request { priority: Priority::SYSTEM, ..request(4_000) };
    check(&mut planner, &system, "n3", third);
    assert_eq!(planner.preempt(&request(5_000)), None);
}

#[test]
fn where_there_is_room_nobody_has_to_go() {
    let mut planner = best_fit(hosts(&[(4, 4, 0, ""), (4, 4, 0, "")]));
    let mut jobs = ids(4).into_iter();
    fill(&mut planner, &mut jobs, 1, &[(4_000, Priority::BATCH)]);
    check(&mut planner, &Request::new(group(1, "web"), demand(3_000, 0)), "n2", vec![]);
}

#[test]
fn gpus_are_freed_device_by_device() {
    let mut planner = best_fit(hosts(&[(8, 8, 2, "")]));
    let jobs: Vec<JobId> = ids(3);
    let mut batch = Request::new(group(0, "train"), demand(100, 0));
    (batch.priority, batch.demand.gpus) = (Priority::BATCH, GpuRequest::shared(600));
    for job in &jobs[..2] {
        assert!(place(&mut planner, *job, &batch).is_some());
    }
    let mut request = Request::new(group(1, "serve"), demand(100, 0));
    request.demand.gpus = GpuRequest::whole(1);
    assert_eq!(planner.choose(&request), None);
    let eviction = planner.preempt(&request).unwrap();
    assert_eq!(eviction.victims.len(), 1, "one whole GPU is one device");
    request.demand.gpus = GpuRequest::whole(2);
    assert_eq!(planner.preempt(&request).unwrap().victims.len(), 2);
}

#[test]
fn who_must_not_be_beside_it_is_not_displaced_for_that() {
    let mut planner = best_fit(hosts(&[(4, 4, 0, ""), (4, 4, 0, "")]));
    let mut jobs = ids(4).into_iter();
    fill(&mut planner, &mut jobs, 1, &[(4_000, Priority::BATCH)]);
    let mut request = Request::new(group(1, "web"), demand(4_000, 0));
    request.affinities = vec![Affinity { toward: Toward::Group(group(0, "batch")), rule: Rule::Apart }];
    check(&mut planner, &request, "n2", vec![]);
    let other = Request::new(group(2, "web"), demand(4_000, 0));
    assert_eq!(place(&mut planner, jobs.next().unwrap(), &other).as_deref(), Some("n2"));
    assert_eq!(planner.preempt(&request), None);
}
