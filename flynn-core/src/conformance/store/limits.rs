//! Nodes are not overfilled and quotas are kept.

use std::borrow::Cow;

use futures::future::join_all;

use crate::change::Change;
use crate::conformance::world::{gib, in_state, process, route};
use crate::conformance::{StoreHarness, World};
use crate::error::{Conflict, StoreError};
use crate::noun::{
    Build, BuildId, BuildIntent, BuildState, BuildStatus, Exit, Formation, FormationId, Job, JobId, JobState, Liveness,
    NodeStatus, Quota, QuotaId, RouteId, Scale, Scheduling, TeamId,
};
use crate::rule::{Misfit, Principal};
use crate::scope::Scope;
use crate::value::{Digest, Resources};

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

async fn set_quota<S>(world: &World<S>, quota: Quota)
where
    S: crate::port::Store + crate::port::EventLog + crate::port::History + crate::port::Elections + 'static,
{
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
        processes: [(process("web"), Scale { count, resources: gib(100, memory_gib) })].into(),
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
    let formation = |count| Formation {
        app: world.app,
        processes: [(process("web"), Scale { count, resources: Resources::ZERO })].into(),
    };
    let [ten, nine, eight] = [10, 9, 8].map(formation);
    world.commit([Change::create(id, world.team, ten.clone())]).await;
    let quota = Quota { instances: Some(3), ..Quota::unlimited(world.team) };
    set_quota(&world, quota).await;
    world.commit([Change::update(id, nine)]).await;
    world.create_app("another").await;
    world.commit([Change::update(id, eight)]).await;
    assert_eq!(over_quota(world.commit_as(Principal::System, [Change::update(id, ten)]).await), "instances");
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
    let snapshot = crate::port::Store::snapshot(&*world.store, Scope::Node(world.node)).await.unwrap();
    assert_eq!(snapshot.objects.count::<Job>(), 8);
}
