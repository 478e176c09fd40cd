//! The table against what it should say, told in the simplest way.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use flynn_core::name::{AppName, HostPattern, ProcessName};
use flynn_core::noun::{
    App, Desired, Entry, Health, Job, JobState, JobStatus, NodeId, Object, ObjectId, Objects, ProcessType, Purpose,
    Route, RouteId, Stored, TeamId, Traffic, Workload,
};
use flynn_core::value::{Digest, Resources};
use flynn_core::{AppId, Id, JobId, Revision, Timestamp};
use flynn_router::table::{Content, Host, RouteTable, ShardedTable, TableChange, TargetKey, TargetSpec};
use proptest::prelude::*;

use crate::rig::place;

fn app_id(number: u8) -> AppId {
    Id::from_uuid(uuid(number))
}

fn uuid(number: u8) -> uuid::Uuid {
    uuid::Uuid::from_bytes([number; 16])
}

fn key(number: u8) -> TargetKey {
    TargetKey { app: app_id(number), process: ProcessName::new("web").unwrap() }
}

fn spec() -> TargetSpec {
    TargetSpec { name: AppName::new("a").unwrap(), traffic: Traffic::Serve, backends: BTreeMap::new() }
}

/// What `lookup` promises, by trying every route.
fn oracle(routes: &BTreeMap<(String, String), u8>, host: &str, path: &str) -> Option<AppId> {
    let covers = |prefix: &str| {
        let wanted: Vec<&str> = prefix.split('/').filter(|segment| !segment.is_empty()).collect();
        wanted.is_empty() || {
            let there: Vec<&str> = path.split('/').skip(1).collect();
            path.starts_with('/') && there.len() >= wanted.len() && there[..wanted.len()] == wanted[..]
        }
    };
    let best = |pattern: &str| {
        let mut fitting: Vec<_> = routes.iter().filter(|((host, path), _)| host == pattern && covers(path)).collect();
        fitting
            .sort_by_key(|((_, path), _)| std::cmp::Reverse(path.split('/').filter(|part| !part.is_empty()).count()));
        fitting.first().map(|(_, app)| app_id(**app))
    };
    best(host).or_else(|| best(&format!("*.{}", host.split_once('.')?.1))).or_else(|| best("*"))
}

fn hosts() -> impl Strategy<Value = String> {
    "(\\*\\.)?([ab]\\.){0,2}example|\\*"
}

proptest! {
    #[test]
    fn lookup_finds_what_the_oracle_finds(
        edits in proptest::collection::vec((hosts(), "(/[ab]{1,2}){0,3}", any::<bool>(), 1_u8..6), 1..40),
        asked in proptest::collection::vec(("([ab]\\.){0,3}example", "(/[ab]{0,3}){0,4}|\\*"), 1..40),
    ) {
        let table = ShardedTable::new();
        table.apply((1..6).map(|number| TableChange::PutTarget(key(number), spec())));
        let mut routes = BTreeMap::new();
        for (host, path, adds, app) in edits {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let place = place(&host, &path);
            if adds {
                table.apply([TableChange::PutRoute(place, key(app).into())]);
                routes.insert((host, path), app);
            } else {
                table.apply([TableChange::DropRoute(place)]);
                routes.remove(&(host, path));
            }
        }
        for (host, path) in asked {
            let found = table.lookup(&Host::parse(&host).unwrap(), &path).map(|route| route.target().key().app);
            prop_assert_eq!(found, oracle(&routes, &host, &path), "{} {} in {:?}", host, path, routes);
        }
    }
}

fn stored<N: flynn_core::noun::Noun>(id: Id<N>, spec: N, status: N::Status) -> Stored<N> {
    let (spec_version, status_version) = (Revision::ZERO, Revision::ZERO);
    Stored { id, team: TeamId::SYSTEM, spec, status, spec_version, status_version, created_at: Timestamp::EPOCH }
}

/// One step of a history of apps, routes and jobs, few enough of each that they meet often.
#[derive(Debug, Clone)]
enum Step {
    App(u8, bool),
    NoApp(u8),
    Route(u8, u8, u8),
    NoRoute(u8),
    Job(u8, u8, Desired, JobState),
    NoJob(u8),
}

fn states() -> impl Strategy<Value = JobState> {
    let up = (1_u16..5, any::<bool>(), any::<bool>()).prop_map(|(port, healthy, has_address)| JobState::Up {
        address: has_address.then(|| SocketAddr::from(([127, 0, 0, 1], port))),
        health: if healthy { Health::Healthy } else { Health::Unhealthy },
    });
    prop_oneof![4 => up, 1 => Just(JobState::Starting), 1 => Just(JobState::Stopping)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let desired = prop_oneof![3 => Just(Desired::Up), 1 => Just(Desired::Drain), 1 => Just(Desired::Down)];
    let step = prop_oneof![
        (1_u8..4, any::<bool>()).prop_map(|(app, maintenance)| Step::App(app, maintenance)),
        (1_u8..4).prop_map(Step::NoApp),
        (1_u8..6, 1_u8..4, 1_u8..4).prop_map(|(route, app, at)| Step::Route(route, app, at)),
        (1_u8..6).prop_map(Step::NoRoute),
        (1_u8..6, 1_u8..4, desired, states())
            .prop_map(|(job, app, desired, state)| Step::Job(job, app, desired, state)),
        (1_u8..6).prop_map(Step::NoJob),
    ];
    proptest::collection::vec(step, 0..12)
}

fn take(objects: &mut Objects, step: Step) {
    let object: Object = match step {
        Step::NoApp(number) => return drop(objects.remove(ObjectId::from(app_id(number)))),
        Step::NoRoute(number) => return drop(objects.remove(RouteId::from_uuid(uuid(number)).into())),
        Step::NoJob(number) => return drop(objects.remove(JobId::from_uuid(uuid(number)).into())),
        Step::App(number, maintenance) => {
            let mut app = App::new(AppName::new(&format!("app-{number}")).unwrap());
            app.traffic = if maintenance { Traffic::Maintenance } else { Traffic::Serve };
            stored(app_id(number), app, Default::default()).into()
        }
        Step::Route(number, app, at) => {
            // Two live routes never share a place: the store sees to that.
            let taken = objects
                .iter::<Route>()
                .find(|route| route.id != RouteId::from_uuid(uuid(number)) && route.spec.entry == entry(at));
            if let Some(other) = taken.map(|route| route.id) {
                objects.remove(other.into());
            }
            let spec = Route { app: app_id(app), process: ProcessName::new("web").unwrap(), entry: entry(at) };
            stored(RouteId::from_uuid(uuid(number)), spec, ()).into()
        }
        Step::Job(number, app, desired, state) => {
            let id = JobId::from_uuid(uuid(number));
            // A job stays with its app.
            let app = objects.get(id).map_or(app_id(app), |job| job.spec.app);
            let spec = job(app, desired);
            stored(id, spec, JobStatus { state, since: Timestamp::EPOCH }).into()
        }
    };
    objects.insert(object);
}

fn entry(at: u8) -> Entry {
    Entry::host(HostPattern::new(&format!("h{at}.example")).unwrap())
}

fn job(app: AppId, desired: Desired) -> Job {
    Job {
        app,
        release: Id::NIL,
        purpose: Purpose::Service { process: ProcessName::new("web").unwrap(), instance: 1, deployment: None },
        workload: std::sync::Arc::new(Workload {
            app: AppName::new("app").unwrap(),
            release: 1,
            image: Digest::from_bytes([0; 32]),
            process: ProcessType::new(vec!["x".into()]),
            env: BTreeMap::new(),
        }),
        resources: Resources::ZERO,
        attempt: 0,
        not_before: Timestamp::EPOCH,
        node: Some(NodeId::NIL),
        desired,
    }
}

type Told = (BTreeMap<String, AppId>, BTreeMap<AppId, (String, Traffic, BTreeMap<JobId, SocketAddr>)>);

/// Routes and targets as the rules in words have it.
fn expected(objects: &Objects) -> Told {
    let mut told = Told::default();
    for route in objects.iter::<Route>() {
        let Entry::Http { host, path: _, .. } = &route.spec.entry else { unreachable!() };
        told.0.insert(host.to_string(), route.spec.app);
        let Some(app) = objects.get(route.spec.app) else { continue };
        let mut backends = BTreeMap::new();
        for job in objects.iter::<Job>().filter(|job| job.spec.app == route.spec.app) {
            if let (Desired::Up, JobState::Up { address: Some(address), health: Health::Healthy }) =
                (job.spec.desired, &job.status.state)
            {
                backends.insert(job.id, *address);
            }
        }
        told.1.insert(app.id, (app.spec.name.to_string(), app.spec.traffic, backends));
    }
    told
}

fn told_by(content: &Content) -> Told {
    let routes = content.routes().map(|(place, spec)| (place.host.to_string(), spec.target.app));
    let targets =
        content.targets().map(|(key, spec)| (key.app, (spec.name.to_string(), spec.traffic, spec.backends.clone())));
    (routes.collect(), targets.collect())
}

/// What a follower of changes knows.
fn play(told: &mut Told, changes: Vec<TableChange>) {
    for change in changes {
        match change {
            TableChange::PutTarget(key, spec) => {
                let fresh = (spec.name.to_string(), spec.traffic, spec.backends);
                assert_ne!(told.1.insert(key.app, fresh.clone()), Some(fresh), "a change that changes nothing");
            }
            TableChange::PutRoute(place, spec) => {
                assert_ne!(
                    told.0.insert(place.host.to_string(), spec.target.app),
                    Some(spec.target.app),
                    "a change that changes nothing"
                );
            }
            TableChange::DropRoute(place) => assert!(told.0.remove(&place.host.to_string()).is_some()),
            TableChange::DropTarget(key) => assert!(told.1.remove(&key.app).is_some()),
        }
    }
}

proptest! {
    /// Step by step or all at once, the content is what the objects say, and the changes lead there.
    #[test]
    fn content_follows_the_objects(commits in proptest::collection::vec(steps(), 1..8)) {
        let mut objects = Objects::default();
        let mut content = Content::default();
        let mut played = Told::default();
        for commit in commits {
            let before = objects.clone();
            commit.into_iter().for_each(|step| take(&mut objects, step));
            let next = content.advance(&before, &objects);
            prop_assert_eq!(told_by(&next), expected(&objects));
            prop_assert_eq!(told_by(&Content::of(&objects)), expected(&objects));
            prop_assert!(next.changes_from(&Content::of(&objects)).is_empty());
            play(&mut played, next.changes_from(&content));
            prop_assert_eq!(&played, &expected(&objects));
            content = next;
        }
    }
}

#[test]
fn one_job_is_one_change_however_many_routes_lead_to_it() {
    let mut objects = Objects::default();
    take(&mut objects, Step::App(1, false));
    for number in 1..4 {
        take(&mut objects, Step::Route(number, 1, number));
    }
    let before = (objects.clone(), Content::of(&objects));
    let up = JobState::Up { address: Some(([127, 0, 0, 1], 80).into()), health: Health::Healthy };
    take(&mut objects, Step::Job(1, 1, Desired::Up, up));
    let changes = before.1.advance(&before.0, &objects).changes_from(&before.1);
    assert!(matches!(&changes[..], [TableChange::PutTarget(..)]), "{changes:?}");
}

#[test]
fn instances_that_stay_keep_their_counts() {
    let table = ShardedTable::new();
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let (first, second) = (JobId::from_uuid(uuid(1)), JobId::from_uuid(uuid(2)));
    let with = |backends: &[(JobId, SocketAddr)]| TargetSpec { backends: backends.iter().copied().collect(), ..spec() };
    table.apply([
        TableChange::PutTarget(key(1), with(&[(first, address(1))])),
        TableChange::PutRoute(place("a.example", "/"), key(1).into()),
    ]);
    let host = Host::parse("a.example").unwrap();
    let before = table.lookup(&host, "/").unwrap().target().state();
    table.apply([TableChange::PutTarget(key(1), with(&[(first, address(1)), (second, address(2))]))]);
    let after = table.lookup(&host, "/").unwrap().target().state();
    assert!(std::sync::Arc::ptr_eq(&before.backends[0], &after.backends[0]));
    table.apply([TableChange::PutTarget(key(1), with(&[(first, address(3))]))]);
    let moved = table.lookup(&host, "/").unwrap().target().state();
    assert_eq!(moved.backends[0].address(), address(3));
    table.apply([TableChange::DropRoute(place("a.example", "/")), TableChange::DropTarget(key(1))]);
    assert!(table.lookup(&host, "/").is_none());
}
