//! Labels, neighbours and spreading, each in a small cluster.

use std::collections::BTreeMap;

use flynn_core::JobId;
use flynn_core::noun::{Liveness, Scheduling};
use flynn_core::rule::Misfit;
use flynn_core::value::Dimension;
use flynn_sched::placement::{Affinity, Cluster, Obstacle, Planner, Preference, Request, Rule, Spread, Toward};

use crate::world::{app, best_fit, demand, group, hosts, ids, name, place, policies, zone};

fn zones(planner: &Planner) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, site) in planner.cluster().sites() {
        let value = site.host().labels.get(&zone()).map_or(String::new(), ToString::to_string);
        *counts.entry(value).or_default() += site.residents().len();
    }
    counts
}

#[test]
fn labels_that_must_and_should_be() {
    let mut planner = best_fit(hosts(&[(1, 1, 0, "a"), (8, 8, 0, "b"), (8, 8, 0, "")]));
    let jobs = ids(4);
    let mut request = Request::new(group(0, "web"), demand(100, 0));
    assert_eq!(place(&mut planner, jobs[0], &request).as_deref(), Some("n1"), "the smallest fits best");
    request.demand.constraints = vec!["zone != a".parse().unwrap(), "zone exists".parse().unwrap()];
    assert_eq!(place(&mut planner, jobs[1], &request).as_deref(), Some("n2"));
    request.demand.constraints = vec!["zone = c".parse().unwrap()];
    assert_eq!(place(&mut planner, jobs[2], &request), None);
    request.demand.constraints = vec![];
    let preference = |text: &str, weight| Preference { constraint: text.parse().unwrap(), weight };
    request.demand.preferences = vec![preference("zone = a", -100), preference("zone exists", 2)];
    assert_eq!(place(&mut planner, jobs[3], &request).as_deref(), Some("n2"));
}

#[test]
fn neighbours_that_must_and_must_not_be() {
    let mut planner = best_fit(hosts(&[(2, 4, 0, ""), (4, 4, 0, ""), (8, 4, 0, "")]));
    let jobs = ids(9);
    let database = Request::new(group(0, "db"), demand(100, 0));
    assert_eq!(place(&mut planner, jobs[0], &database).as_deref(), Some("n1"));
    let mut web = Request::new(group(1, "web"), demand(100, 0));
    let beside = |toward, rule| vec![Affinity { toward, rule }];
    web.affinities = beside(Toward::App(app(0)), Rule::Apart);
    assert_eq!(place(&mut planner, jobs[1], &web).as_deref(), Some("n2"));
    web.affinities = beside(Toward::Group(group(0, "db")), Rule::With);
    assert_eq!(place(&mut planner, jobs[2], &web).as_deref(), Some("n1"));
    web.affinities = beside(Toward::Group(group(0, "cache")), Rule::With);
    assert_eq!(place(&mut planner, jobs[3], &web), None, "nothing is there to be beside");
    web.affinities = beside(Toward::App(app(0)), Rule::Prefer(-100));
    assert_eq!(place(&mut planner, jobs[4], &web).as_deref(), Some("n2"));
    let mut shy = Request::new(group(2, "web"), demand(100, 0));
    shy.affinities = beside(Toward::Group(group(2, "web")), Rule::Apart);
    let on: Vec<_> = jobs[5..].iter().map(|job| place(&mut planner, *job, &shy)).collect();
    assert_eq!(on.iter().flatten().count(), 3, "one for each node, then none: {on:?}");
    assert_eq!(on[3], None);
}

#[test]
fn the_first_of_those_that_stay_together_may_be_anywhere() {
    let mut planner = best_fit(hosts(&[(2, 4, 0, ""), (2, 4, 0, ""), (2, 4, 0, "")]));
    let mut request = Request::new(group(0, "web"), demand(500, 0));
    request.affinities = vec![Affinity { toward: Toward::App(app(0)), rule: Rule::With }];
    let on: Vec<_> = ids(5).into_iter().map(|job: JobId| place(&mut planner, job, &request)).collect();
    assert!(on[0].is_some() && on[..4].iter().all(|node| *node == on[0]), "{on:?}");
    assert_eq!(on[4], None, "it is full, and the others have none");
}

#[test]
fn instances_are_even_over_zones_even_when_nodes_are_not() {
    let nodes = [(64, 64, 0, "a"), (1, 64, 0, "b"), (1, 64, 0, "b"), (2, 64, 0, "c"), (64, 64, 0, "")];
    let mut planner = best_fit(hosts(&nodes));
    let mut request = Request::new(group(0, "web"), demand(500, 0));
    request.spread = Some(Spread { label: zone(), max_skew: None });
    let mut jobs = ids(40).into_iter();
    let mut more = |planner: &mut Planner, request: &Request, count| {
        (0..count).filter(|_| place(planner, jobs.next().unwrap(), request).is_some()).count()
    };
    more(&mut planner, &request, 9);
    let even = BTreeMap::from([("a".into(), 3), ("b".into(), 3), ("c".into(), 3), (String::new(), 0)]);
    assert_eq!(zones(&planner), even);
    more(&mut planner, &request, 9);
    let uneven = BTreeMap::from([("a".into(), 10), ("b".into(), 4), ("c".into(), 4), (String::new(), 0)]);
    assert_eq!(zones(&planner), uneven, "where there is room it goes on");
    let mut strict = Request { group: group(1, "web"), ..request };
    strict.spread = Some(Spread { label: zone(), max_skew: Some(1) });
    assert_eq!(more(&mut planner, &strict, 3), 1, "b and c have no room and a may not be two ahead");
}

#[test]
fn so_many_on_a_node_and_no_more() {
    let cluster = Cluster::new(hosts(&[(8, 8, 0, ""), (8, 8, 0, "")]), 3);
    for policy in policies(&cluster) {
        let mut planner = Planner::new(cluster.clone(), policy);
        let mut request = Request::new(group(0, "web"), demand(10, 0));
        request.most_per_node = Some(2);
        let placed = ids(5).into_iter().filter(|job: &JobId| place(&mut planner, *job, &request).is_some()).count();
        assert_eq!(placed, 4);
        let counts: Vec<_> = planner.cluster().sites().map(|(_, site)| site.residents().len()).collect();
        assert_eq!(counts, [2, 2]);
    }
}

#[test]
fn what_runs_everywhere_is_started_where_it_is_missing() {
    let mut planner =
        best_fit(hosts(&[(4, 4, 0, "a"), (4, 4, 0, "a"), (1, 4, 0, "a"), (4, 4, 0, "a"), (4, 4, 0, "b")]));
    let mut request = Request::new(group(0, "logs"), demand(2_000, 0));
    request.demand.constraints = vec!["zone = a".parse().unwrap()];
    let slot = |name: &str, planner: &Planner| {
        planner.cluster().sites().find(|(_, site)| site.host().name.as_str() == name).unwrap().0
    };
    let drained = slot("n2", &planner);
    planner.set_state(drained, Liveness::Ready, Scheduling::Draining);
    let answer = planner.everywhere(&request);
    let mut start: Vec<_> = answer.start.iter().map(|choice| name(&planner, *choice)).collect();
    start.sort();
    assert_eq!(start, ["n1", "n4"]);
    let small = planner.cluster().site(slot("n3", &planner)).host().id;
    let short = Misfit::TooLittle { dimension: Dimension::Cpu, free: 1_000, asked: 2_000 };
    assert_eq!(answer.blocked, [(small, Obstacle::Misfit(short))]);
    for (job, choice) in ids(2).into_iter().zip(answer.start) {
        assert!(planner.put(job, &request, choice));
    }
    let again = planner.everywhere(&request);
    assert!(again.start.is_empty() && again.blocked.len() == 1, "{again:?}");
}

#[test]
fn a_volume_decides_the_node() {
    let hosts = hosts(&[(2, 4, 0, ""), (4, 4, 0, "")]);
    let (other, home) = (hosts[0].id, hosts[1].id);
    let mut planner = best_fit(hosts);
    let mut request = Request::new(group(0, "db"), demand(100, 0));
    request.volumes = [home].into();
    let jobs = ids(2);
    assert_eq!(place(&mut planner, jobs[0], &request).as_deref(), Some("n2"));
    request.demand = demand(5_000, 0);
    assert_eq!(place(&mut planner, jobs[1], &request), None);
    request.demand = demand(100, 0);
    request.volumes.insert(other);
    assert_eq!(place(&mut planner, jobs[1], &request), None, "no node holds both");
}
