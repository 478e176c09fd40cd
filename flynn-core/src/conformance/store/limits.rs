//! Nodes are not overfilled and quotas are kept.

use std::borrow::Cow;

use futures::future::join_all;

use crate::change::Change;
use crate::conformance::world::{gib, in_state, process, route, token_secret};
use crate::conformance::{StoreHarness, World};
use crate::error::{Conflict, StoreError};
use crate::name::{AppName, NodeName, TeamName, UserName};
use crate::noun::{
    Build, BuildId, BuildIntent, BuildState, BuildStatus, Exit, Formation, FormationId, Grant, GrantId, Job, JobId,
    JobState, Liveness, Node, NodeId, NodeStatus, Quota, QuotaId, Role, RouteId, Scale, Scheduling, Standing, Team,
    TeamId, Token, TokenId, TokenScope, User, UserId,
};
use crate::port::{Elections, EventLog, History, Store};
use crate::rule::{Bounds, Invalid, Misfit, Principal};
use crate::scope::Scope;
use crate::value::{Digest, Resources};

trait Anything: Store + EventLog + History + Elections + 'static {}

impl<S: Store + EventLog + History + Elections + 'static> Anything for S {}

fn misfit<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Misfit {
    match result {
        Err(StoreError::Conflict { conflict: Conflict::DoesNotFit { misfit, .. }, .. }) => misfit,
        other => panic!("expected a misfit, got {other:?}"),
    }
}

fn over_quota<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Cow<'static, str> {
    match result {
        Err(StoreError::Conflict { conflict: Conflict::OverQuota { over, .. }, .. }) => over.what,
        other => panic!("expected a quota to be exceeded, got {other:?}"),
    }
}

/// Eight jobs of half a core fit on four cores, and not nine.
pub async fn a_job_must_fit_on_its_node<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    for instance in 1..=8 {
        let id = world.create_job(instance).await;
        world.place(id).await.unwrap();
    }
    let ninth = world.create_job(9).await;
    assert!(matches!(misfit(world.place(ninth).await), Misfit::TooLittle { free: 0, .. }));
    assert_eq!(world.get(ninth).await.unwrap().status.state, JobState::default());
}

/// Jobs that fit one by one but not together are refused together.
pub async fn jobs_of_one_batch_must_fit_together<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let mut changes = Vec::new();
    for instance in 1..=9 {
        let id = world.create_job(instance).await;
        changes.push(Change::update(id, Job { node: Some(world.node), ..world.job(instance) }));
        changes.push(in_state(id, JobState::Assigned));
    }
    misfit(world.commit_as(Principal::System, changes.clone()).await);
    changes.truncate(16);
    world.commit(changes).await;
}

/// The room of a job is free once it has ended.
pub async fn an_ended_job_frees_its_node<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let mut jobs = Vec::new();
    for instance in 1..=8 {
        let id = world.create_job(instance).await;
        world.place(id).await.unwrap();
        jobs.push(id);
    }
    let ninth = world.create_job(9).await;
    misfit(world.place(ninth).await);
    world.commit([in_state(jobs[0], JobState::Exited(Exit::OutOfMemory))]).await;
    world.place(ninth).await.unwrap();
}

/// Work goes to nodes that are there and take it.
pub async fn a_closed_or_absent_node_takes_nothing<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id = world.create_job(1).await;
    let open = world.get(world.node).await.unwrap();
    let mut closed = open.spec.clone();
    closed.scheduling = Scheduling::Cordoned;
    world.commit([Change::update(world.node, closed)]).await;
    assert_eq!(misfit(world.place(id).await), Misfit::Closed(Scheduling::Cordoned));
    world.commit([Change::update(world.node, open.spec.clone())]).await;
    let lost = NodeStatus { liveness: Liveness::Lost, ..open.status.clone() };
    world.commit([Change::report(world.node, lost)]).await;
    assert_eq!(misfit(world.place(id).await), Misfit::NotReady(Liveness::Lost));
    world.commit([Change::report(world.node, open.status.clone())]).await;
    world.place(id).await.unwrap();
}

/// A job without needs is work all the same.
pub async fn who_asks_for_nothing_also_needs_an_open_node<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: JobId = world.id();
    let modest = Job { resources: Resources::ZERO, ..world.job(1) };
    world.commit([Change::create(id, world.team, modest)]).await;
    let node = world.get(world.node).await.unwrap();
    let mut draining = node.spec.clone();
    draining.scheduling = Scheduling::Draining;
    world.commit([Change::update(world.node, draining)]).await;
    assert_eq!(misfit(world.place(id).await), Misfit::Closed(Scheduling::Draining));
    world.commit([Change::update(world.node, node.spec.clone())]).await;
    world.place(id).await.unwrap();
}

/// Builds are not a way around a quota.
pub async fn builds_count_as_instances<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    set_quota(&world, Quota { instances: Some(1), ..Quota::unlimited(world.team) }).await;
    let build = |number| Build {
        app: world.app,
        number,
        source: Digest::from_bytes([0; 32]),
        commit: None,
        branch: None,
        resources: Resources::ZERO,
        node: None,
        desired: BuildIntent::Finish,
    };
    let (first, second): (BuildId, BuildId) = (world.id(), world.id());
    world.commit([Change::create(first, world.team, build(1))]).await;
    let next = || world.commit_as(Principal::System, [Change::create(second, world.team, build(2))]);
    assert_eq!(over_quota(next().await), "instances");
    let cancelled = BuildStatus { state: BuildState::Cancelled, ..BuildStatus::default() };
    world.commit([Change::report(first, cancelled)]).await;
    next().await.unwrap();
}

async fn set_quota<S: Anything>(world: &World<S>, quota: Quota) {
    let id: QuotaId = world.id();
    world.commit([Change::create(id, TeamId::SYSTEM, quota)]).await;
}

/// Formations, one-off jobs, apps and routes count against the quota of their team.
pub async fn a_team_stays_within_its_quota<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let quota = Quota {
        apps: Some(2),
        routes: Some(1),
        instances: Some(5),
        memory_bytes: Some(4 << 30),
        ..Quota::unlimited(world.team)
    };
    set_quota(&world, quota).await;
    let formation = |count, memory_gib| Formation {
        app: world.app,
        processes: [(process("web"), Scale::of(count, gib(100, memory_gib)))].into(),
    };
    let (id, one_off, further): (FormationId, JobId, JobId) =
        (FormationId::from_uuid(uuid::Uuid::from_u128(1)), JobId::NIL, JobId::from_uuid(uuid::Uuid::from_u128(2)));
    let team = world.team;
    assert_eq!(
        over_quota(world.commit_as(Principal::System, [Change::create(id, team, formation(6, 0))]).await),
        "instances"
    );
    assert_eq!(
        over_quota(world.commit_as(Principal::System, [Change::create(id, team, formation(5, 1))]).await),
        "memory (bytes)"
    );
    world.commit([Change::create(id, team, formation(4, 0))]).await;
    world.commit([Change::create(one_off, team, world.one_off())]).await;
    let second = || world.commit_as(Principal::System, [Change::create(further, team, world.one_off())]);
    assert_eq!(over_quota(second().await), "instances");
    world.commit([Change::remove(one_off)]).await;
    second().await.unwrap();
    let other = world.create_app("second").await;
    let third = world.id();
    let refused = world.commit_as(Principal::System, [Change::create(third, team, super::super::world::app("third"))]);
    assert_eq!(over_quota(refused.await), "apps");
    let (a, b): (RouteId, RouteId) = (world.id(), world.id());
    world.commit([Change::create(a, team, route(other, "a.example"))]).await;
    let refused = world.commit_as(Principal::System, [Change::create(b, team, route(other, "b.example"))]).await;
    assert_eq!(over_quota(refused), "routes");
}

/// A team over its quota can take less, and can change what does not grow.
pub async fn a_lowered_quota_still_lets_shrink<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: FormationId = world.id();
    let formation =
        |count| Formation { app: world.app, processes: [(process("web"), Scale::of(count, Resources::ZERO))].into() };
    let [ten, nine, eight] = [10, 9, 8].map(formation);
    world.commit([Change::create(id, world.team, ten.clone())]).await;
    let quota = Quota { instances: Some(3), ..Quota::unlimited(world.team) };
    set_quota(&world, quota).await;
    world.commit([Change::update(id, nine)]).await;
    world.create_app("another").await;
    world.commit([Change::update(id, eight)]).await;
    assert_eq!(over_quota(world.commit_as(Principal::System, [Change::update(id, ten)]).await), "instances");
}

/// A developer of the world's team.
async fn developer<S: Anything>(world: &World<S>) -> Principal {
    let (user, grant, token): (UserId, GrantId, TokenId) = (world.id(), world.id(), world.id());
    let (hash, scope) = (token_secret(token).hash(), TokenScope::User(user));
    let person = User { name: UserName::new("dev").unwrap(), standing: Standing::Member };
    world
        .commit([
            Change::create(user, TeamId::SYSTEM, person),
            Change::create(grant, world.team, Grant { user, team: world.team, role: Role::Developer }),
            Change::create(token, TeamId::SYSTEM, Token { hash, scope, label: "test".into(), expires: None }),
        ])
        .await;
    Principal::Bearer(token)
}

fn out_of_bounds<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Invalid {
    match result {
        Err(StoreError::Invalid { invalid, .. }) => invalid,
        other => panic!("expected a size to be refused, got {other:?}"),
    }
}

fn sized<S>(world: &World<S>, resources: Resources) -> Formation {
    Formation { app: world.app, processes: [(process("web"), Scale::of(1, resources))].into() }
}

/// A person asks for what can start and for what could run somewhere, whatever way they take; the platform is not
/// bound by that.
pub async fn people_ask_for_sizes_within_bounds<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (dev, team, usual) = (developer(&world).await, world.team, Scale::RESOURCES);
    let (id, one_off): (FormationId, JobId) = (world.id(), world.id());
    let refused = [
        ("memory_bytes", Resources { memory_bytes: 0, ..usual }),
        ("memory_bytes", Resources { memory_bytes: Bounds::LEAST.memory_bytes - 1, ..usual }),
        ("disk_bytes", Resources { disk_bytes: 0, ..usual }),
        ("pids", Resources { pids: 0, ..usual }),
        ("pids", Resources { pids: 100_000, ..usual }),
        ("cpu_millis", Resources { cpu_millis: Bounds::MOST.cpu_millis + 1, ..usual }),
    ];
    for (field, resources) in refused {
        let formation = world.commit_as(dev, [Change::create(id, team, sized(&world, resources))]).await;
        assert_eq!(out_of_bounds(formation).field, format!("processes.web.{field}"));
        let job = Job { resources, ..world.one_off() };
        let job = world.commit_as(dev, [Change::create(one_off, team, job)]).await;
        assert_eq!(out_of_bounds(job).field, format!("resources.{field}"));
    }
    let least = Resources { cpu_millis: 0, ..Bounds::LEAST };
    world.commit_as(dev, [Change::create(id, team, sized(&world, least))]).await.unwrap();
    let grown = sized(&world, Resources { pids: 0, ..usual });
    let grown = out_of_bounds(world.commit_as(dev, [Change::update(id, grown)]).await);
    assert_eq!(grown, Invalid::new("processes.web.pids", "0 is not from 8 to 32768"));
    world.commit_as(dev, [Change::create(one_off, team, Job { resources: least, ..world.one_off() })]).await.unwrap();
    world.commit([Change::update(id, sized(&world, Resources::ZERO))]).await;
}

/// What no node could ever run is refused at once, and not waited for.
pub async fn the_most_is_what_the_largest_node_has<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let dev = developer(&world).await;
    let (id, large): (FormationId, NodeId) = (world.id(), world.id());
    let gibs = |count: u64| Resources { memory_bytes: count << 30, ..Scale::RESOURCES };
    let five = Change::create(id, world.team, sized(&world, gibs(5)));
    let refused = out_of_bounds(world.commit_as(dev, [five.clone()]).await);
    assert_eq!(refused.to_string(), "processes.web.memory_bytes: 5 GiB is not from 8 MiB to 4 GiB");
    // What a node keeps for itself no instance gets.
    let spec = Node { reserved: gib(0, 2), ..Node::new(NodeName::new("n2").unwrap()) };
    let status = NodeStatus { capacity: gib(4_000, 8), ..NodeStatus::default() };
    world.commit([Change::create(large, TeamId::SYSTEM, spec), Change::report(large, status)]).await;
    world.commit_as(dev, [five]).await.unwrap();
    out_of_bounds(world.commit_as(dev, [Change::update(id, sized(&world, gibs(7)))]).await);
    world.commit_as(dev, [Change::update(id, sized(&world, gibs(6)))]).await.unwrap();
}

/// The operator decides, for all teams and for one.
pub async fn a_quota_says_how_large_an_instance_may_be<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let dev = developer(&world).await;
    let id: FormationId = world.id();
    let of_all = Quota { instance_pids: Some(100), ..Quota::unlimited(TeamId::SYSTEM) };
    set_quota(&world, of_all).await;
    let pids = |pids| Resources { pids, ..Scale::RESOURCES };
    let refused = world.commit_as(dev, [Change::create(id, world.team, sized(&world, pids(101)))]).await;
    assert_eq!(out_of_bounds(refused).to_string(), "processes.web.pids: 101 is not from 8 to 100");
    world.commit_as(dev, [Change::create(id, world.team, sized(&world, pids(100)))]).await.unwrap();
    // Also more than there is for those who do not ask.
    set_quota(&world, Quota { instance_pids: Some(65_536), ..Quota::unlimited(world.team) }).await;
    world.commit_as(dev, [Change::update(id, sized(&world, pids(65_536)))]).await.unwrap();
    let useless = Quota { instance_memory_bytes: Some(1), ..Quota::unlimited(world.team) };
    let refused = world.commit_as(Principal::System, [Change::create(world.id(), TeamId::SYSTEM, useless)]).await;
    assert_eq!(out_of_bounds(refused).field, "instance_memory_bytes");
}

/// Bounds that became narrower stand in the way of no other change, and of no shrinking.
pub async fn what_was_allowed_once_can_stay<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let dev = developer(&world).await;
    let id: FormationId = world.id();
    let two = |web: u32, worker: u32| Formation {
        app: world.app,
        processes: [
            (process("web"), Scale::of(web, Resources::ZERO)),
            (process("worker"), Scale::of(worker, Scale::RESOURCES)),
        ]
        .into(),
    };
    world.commit([Change::create(id, world.team, two(2, 0))]).await;
    world.commit_as(dev, [Change::update(id, two(2, 3))]).await.unwrap();
    world.commit_as(dev, [Change::update(id, two(1, 3))]).await.unwrap();
    out_of_bounds(world.commit_as(dev, [Change::update(id, two(2, 3))]).await);
}

/// Nobody fills the cluster because nobody thought of them.
pub async fn a_quota_for_every_team_is_for_those_without_their_own<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, dashboard) = (world.id(), world.id());
    world.commit([Change::create(blue, TeamId::SYSTEM, Team { name: TeamName::new("blue").unwrap() })]).await;
    let of_all = Quota { apps: Some(1), routes: Some(0), ..Quota::unlimited(TeamId::SYSTEM) };
    set_quota(&world, of_all).await;
    set_quota(&world, Quota { apps: Some(2), ..Quota::unlimited(world.team) }).await;
    let create = |team: TeamId, name: &str| {
        let app = crate::noun::App::new(AppName::new(name).unwrap());
        world.commit_as(Principal::System, [Change::create(world.id(), team, app)])
    };
    create(blue, "blue-1").await.unwrap();
    assert_eq!(over_quota(create(blue, "blue-2").await), "apps");
    create(world.team, "red-2").await.unwrap();
    assert_eq!(over_quota(create(world.team, "red-3").await), "apps");
    let id: RouteId = world.id();
    let refused = world.commit_as(Principal::System, [Change::create(id, world.team, route(world.app, "a.example"))]);
    assert_eq!(over_quota(refused.await), "routes", "what its own quota does not set");
    // What the cluster runs for itself nobody limits.
    let own = crate::noun::App::new(AppName::new("dashboard").unwrap());
    world.commit([Change::create(dashboard, TeamId::SYSTEM, own)]).await;
    create(TeamId::SYSTEM, "console").await.unwrap();
    let again = Quota::unlimited(TeamId::SYSTEM);
    let second = world.commit_as(Principal::System, [Change::create(world.id(), TeamId::SYSTEM, again)]).await;
    assert!(matches!(second, Err(StoreError::Conflict { conflict: Conflict::Claimed { .. }, .. })), "{second:?}");
}

/// Twenty planners that all saw the last free half core fill it once.
pub async fn of_racing_placements_one_fits<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    for instance in 1..=7 {
        let id = world.create_job(instance).await;
        world.place(id).await.unwrap();
    }
    let mut waiting = Vec::new();
    for instance in 8..28 {
        waiting.push(world.create_job(instance).await);
    }
    let world = std::sync::Arc::new(world);
    let asked = waiting.iter().map(|id| {
        let (world, id) = (world.clone(), *id);
        tokio::spawn(async move { world.place(id).await })
    });
    let placed = join_all(asked).await.into_iter().filter(|outcome| matches!(outcome, Ok(Ok(_)))).count();
    assert_eq!(placed, 1);
    let snapshot = world.store.snapshot(Scope::Node(world.node)).await.unwrap();
    assert_eq!(snapshot.objects.count::<Job>(), 8);
}
