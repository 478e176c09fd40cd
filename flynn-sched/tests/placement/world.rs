//! Small clusters and requests, written down or drawn.

use std::collections::BTreeMap;
use std::sync::Arc;

use flynn_core::name::{LabelKey, LabelValue, NodeName, ProcessName};
use flynn_core::rule::Room;
use flynn_core::value::{GpuRequest, Gpus, Resources};
use flynn_core::{AppId, Ids, JobId, NodeId, Timestamp};
use flynn_sched::placement::{
    Affinity, BestFit, Choice, Cluster, Demand, DotProduct, Expected, Fragmentation, GpuClustering, GpuPacking, Group,
    Host, Planner, Policy, Preference, Priority, Random, Request, Rule, Slot, Spread, SpreadOut, Toward, Yardstick,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Ids in the order in which they are asked for.
pub(crate) fn ids<N>(count: usize) -> Vec<flynn_core::Id<N>> {
    let mut source = Ids::seeded(11);
    (0..count).map(|_| source.next(Timestamp::EPOCH)).collect()
}

pub(crate) fn app(number: usize) -> AppId {
    ids(number + 1)[number]
}

pub(crate) fn group(number: usize, process: &str) -> Group {
    Group { app: app(number), process: Some(ProcessName::new(process).unwrap()) }
}

pub(crate) fn zone() -> LabelKey {
    LabelKey::new("zone").unwrap()
}

/// `n1` and so on with this many cores, GiB and GPUs, and a zone if it has one.
pub(crate) fn hosts(nodes: &[(u64, u64, usize, &str)]) -> Vec<Host> {
    let ids: Vec<NodeId> = ids(nodes.len());
    let hosts = nodes.iter().zip(ids).enumerate().map(|(index, ((cores, gib, gpus, place), id))| {
        let resources = Resources { cpu_millis: cores * 1_000, memory_bytes: gib << 30, ..Resources::ZERO };
        let room = Room { resources, gpus: Gpus::idle(*gpus).unwrap() };
        let mut host = Host::new(id, NodeName::new(&format!("n{}", index + 1)).unwrap(), room);
        if !place.is_empty() {
            host.labels = BTreeMap::from([(zone(), LabelValue::new(place).unwrap())]);
        }
        host
    });
    hosts.collect()
}

/// A demand of this many thousandths of a core and MiB.
pub(crate) fn demand(cpu_millis: u64, mib: u64) -> Demand {
    let resources = Resources { cpu_millis, memory_bytes: mib << 20, ..Resources::ZERO };
    Demand { resources, ..Demand::default() }
}

pub(crate) fn best_fit(hosts: Vec<Host>) -> Planner {
    let cluster = Cluster::new(hosts, 5);
    let policy = BestFit(Yardstick::of(&cluster));
    Planner::new(cluster, Arc::new(policy))
}

/// Places an instance and says on which node.
pub(crate) fn place(planner: &mut Planner, job: JobId, request: &Request) -> Option<String> {
    assert_eq!(request.validate(), Ok(()));
    let choice = planner.place(job, request)?;
    Some(planner.cluster().site(choice.slot).host().name.to_string())
}

/// Every policy there is.
pub(crate) fn policies(cluster: &Cluster) -> Vec<Arc<dyn Policy>> {
    let yardstick = Yardstick::of(cluster);
    let shared = Demand { gpus: GpuRequest::shared(300), ..demand(1_000, 0) };
    let whole = Demand { gpus: GpuRequest::whole(2), ..demand(2_000, 0) };
    let only_a = Demand { constraints: vec!["zone = a".parse().unwrap()], ..whole.clone() };
    let expected = [(shared, 5.0), (whole, 2.0), (only_a, 1.0), (demand(3_000, 0), 2.0)];
    let expected = expected.map(|(demand, weight)| Expected { demand, weight });
    vec![
        Arc::new(SpreadOut),
        Arc::new(BestFit(yardstick)),
        Arc::new(DotProduct(yardstick)),
        Arc::new(GpuPacking),
        Arc::new(GpuClustering),
        Arc::new(Fragmentation::new(&expected, cluster)),
        Arc::new(Random),
    ]
}

/// Something that happens to a cluster.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    Place(Request),
    Preempt(Request),
    Release(Index),
    Turn(Index, bool),
}

pub(crate) fn clusters() -> impl Strategy<Value = Vec<Host>> {
    vec((1..9u64, 1..9u64, select(vec![0, 0, 2, 8]), select(vec!["a", "b", "c", ""])), 1..40)
        .prop_map(|nodes| hosts(&nodes))
}

fn demands() -> impl Strategy<Value = Demand> {
    let gpus = select(vec![
        GpuRequest::NONE,
        GpuRequest::NONE,
        GpuRequest::shared(300),
        GpuRequest::shared(700),
        GpuRequest::whole(1),
        GpuRequest::whole(2),
    ]);
    let texts = ["zone = a", "zone != b", "zone in b, c", "zone ~ [ab]", "zone exists"];
    let constraint = move || select(texts.to_vec()).prop_map(|text| text.parse().unwrap());
    let preference =
        (constraint(), select(vec![-100, 1, 30])).prop_map(|(constraint, weight)| Preference { constraint, weight });
    let (constraints, preferences) = (vec(constraint(), 0..2), vec(preference, 0..2));
    (select(vec![0, 500, 1_000, 3_000]), select(vec![0, 256, 2_048]), gpus, constraints, preferences).prop_map(
        |(cpu, mib, gpus, constraints, preferences)| Demand { gpus, constraints, preferences, ..demand(cpu, mib) },
    )
}

pub(crate) fn requests() -> impl Strategy<Value = Request> {
    let groups = || (0..3usize, select(vec!["web", "worker"])).prop_map(|(number, process)| group(number, process));
    let toward = prop_oneof![(0..3usize).prop_map(|number| Toward::App(app(number))), groups().prop_map(Toward::Group)];
    let rule = select(vec![Rule::With, Rule::Apart, Rule::Apart, Rule::Prefer(40), Rule::Prefer(-100)]);
    let affinities = vec((toward, rule).prop_map(|(toward, rule)| Affinity { toward, rule }), 0..3);
    let spread = option::of(option::of(1..3u32).prop_map(|max_skew| Spread { label: zone(), max_skew }));
    let volumes = option::weighted(0.05, (0..40usize).prop_map(|number| ids(40)[number]));
    let priority = select(vec![Priority::BATCH, Priority::SERVICE, Priority::SYSTEM]);
    (groups(), demands(), volumes, affinities, spread, option::of(1..4u32), priority).prop_map(
        |(group, demand, volumes, affinities, spread, most_per_node, priority)| Request {
            volumes: volumes.into_iter().collect(),
            affinities,
            spread,
            most_per_node,
            priority,
            ..Request::new(group, demand)
        },
    )
}

pub(crate) fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        8 => requests().prop_map(Happening::Place),
        1 => requests().prop_map(Happening::Preempt),
        3 => any::<Index>().prop_map(Happening::Release),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(at, open)| Happening::Turn(at, open)),
    ];
    vec(happening, 1..120)
}

/// What a run of happenings has placed.
pub(crate) type Placed = Vec<(Slot, JobId)>;

/// That no resource and no device of any node is given out twice, and that what is given back is free.
pub(crate) fn assert_books_balance(cluster: &Cluster) {
    for (_, site) in cluster.sites() {
        let used = site.residents().iter().fold(Resources::ZERO, |sum, resident| sum.plus(resident.resources));
        let usable = site.host().usable;
        assert_eq!(used.plus(site.free().resources), usable.resources, "{}", site.host().name);
        for (device, free) in site.free().gpus.free().iter().enumerate() {
            let tenants = site.residents().iter().filter(|resident| resident.devices.has(device));
            let used: u16 = tenants.map(|resident| resident.gpus.millis).sum();
            assert_eq!(used + free, 1_000, "device {device} of {}", site.host().name);
        }
    }
}

pub(crate) fn name(planner: &Planner, choice: Choice) -> String {
    planner.cluster().site(choice.slot).host().name.to_string()
}
