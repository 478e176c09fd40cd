//! Batches are atomic, ordered and judged.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use crate::change::{Batch, Change, MOST_CHANGES};
use crate::conformance::world::{app, in_state, release};
use crate::conformance::{StoreHarness, World};
use crate::error::{Conflict, StoreError};
use crate::noun::{AppId, Exit, Formation, FormationId, Health, JobState, Placement, ReleaseId, Scale, TeamId};
use crate::port::Store;
use crate::revision::Revision;
use crate::rule::Principal;
use crate::scope::Scope;
use crate::time::{Clock, Timestamp};
use crate::value::Resources;

/// If the last of several changes is refused, the first are not there either.
pub async fn a_batch_is_applied_completely_or_not_at_all<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let before = world.store.snapshot(Scope::All).await.unwrap();
    let (good, bad): (AppId, AppId) = (world.id(), world.id());
    let changes = [Change::create(good, world.team, app("good")), Change::create(bad, world.team, app("web"))];
    let refused = world.commit_as(Principal::System, changes.clone()).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    assert_eq!(world.store.snapshot(Scope::All).await.unwrap(), before);
    world.commit([changes[0].clone()]).await;
    assert!(world.get(good).await.is_some());
}

/// Each commit that changes something has the revision after the one before.
pub async fn revisions_grow_by_one<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let mut last = world.store.snapshot(Scope::All).await.unwrap().revision;
    for name in ["a", "b", "c"] {
        let id: AppId = world.id();
        let committed = world.commit([Change::create(id, world.team, app(name))]).await;
        assert_eq!(committed.revision, last.next());
        assert_eq!(committed.objects, [id.into()]);
        last = committed.revision;
    }
    let refused = world.commit_as(Principal::System, [Change::create(world.app, world.team, app("d"))]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::Exists(_), .. })), "{refused:?}");
    assert_eq!(world.store.snapshot(Scope::All).await.unwrap().revision, last);
}

/// Writing what is there already makes no commit, no event and no version.
pub async fn what_changes_nothing_writes_nothing<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let before = world.store.snapshot(Scope::All).await.unwrap();
    let node = world.get(world.node).await.unwrap();
    let fleeting: AppId = world.id();
    for changes in [
        vec![],
        vec![Change::update(world.app, app("web")), Change::report(world.node, node.status.clone())],
        vec![Change::create(fleeting, world.team, app("fleeting")), Change::remove(fleeting)],
    ] {
        let committed = world.commit(changes).await;
        assert_eq!((committed.revision, committed.objects.as_slice()), (before.revision, [].as_slice()));
        assert_eq!(world.store.snapshot(Scope::All).await.unwrap().objects, before.objects);
    }
}

/// Within a batch, changes are applied in their order.
pub async fn a_change_sees_the_ones_before_it<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (id, first): (AppId, ReleaseId) = (world.id(), world.id());
    let team = world.team;
    world.commit([Change::create(id, team, app("new")), Change::create(first, team, release(id, 1))]).await;
    let (id, first): (AppId, ReleaseId) = (world.id(), world.id());
    let backwards = [Change::update(id, app("newer")), Change::create(id, team, app("newest"))];
    let refused = world.commit_as(Principal::System, backwards).await;
    assert!(matches!(refused, Err(StoreError::NotFound { id: missing, .. }) if missing == id.into()), "{refused:?}");
    // References are judged when the batch is complete, so their order does not matter.
    world.commit([Change::create(first, team, release(id, 1)), Change::create(id, team, app("newest"))]).await;
}

/// A batch is bounded.
pub async fn too_many_changes_are_refused<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let mut changes = Vec::new();
    for number in 0..=MOST_CHANGES {
        let id: AppId = world.id();
        changes.push(Change::create(id, world.team, app(&format!("app-{number}"))));
    }
    let refused = world.commit_as(Principal::System, changes.clone()).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    changes.pop();
    world.commit(changes).await;
}

/// A clock that steps back does not take the store's time with it.
pub async fn time_never_runs_backwards<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    world.clock.advance(Duration::from_secs(60));
    let first = world.create_app("first").await;
    let high = world.get(first).await.unwrap().created_at;
    assert_eq!(high, world.clock.now());
    world.clock.set(Timestamp::from_millis(5));
    let second = world.create_app("second").await;
    assert_eq!(world.get(second).await.unwrap().created_at, high);
}

/// A commit whose caller has gone away is there completely or not at all.
pub async fn a_dropped_commit_is_whole_or_absent<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    for round in 0..50 {
        let pair: [AppId; 2] = [world.id(), world.id()];
        let changes = [
            Change::create(pair[0], world.team, app(&format!("a-{round}"))),
            Change::create(pair[1], world.team, app(&format!("b-{round}"))),
        ];
        let mut batch = Batch::new(Principal::System).idempotent(format!("round-{round}"), [round; 32]);
        batch.changes = changes.into();
        let mut commit = world.store.commit(batch.clone());
        // Polled as often as the round says, then dropped.
        for _ in 0..round % 4 {
            if (&mut commit).now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
        let there = world.store.snapshot(Scope::All).await.unwrap().objects;
        assert_eq!(there.contains(pair[0].into()), there.contains(pair[1].into()), "round {round}");
        // The same key tells which, and leaves both there once.
        let committed = world.store.commit(batch).await.unwrap();
        assert_eq!(committed.objects, pair.map(Into::into));
    }
    let snapshot = world.store.snapshot(Scope::All).await.unwrap();
    assert_eq!(snapshot.objects.count::<crate::noun::App>(), 101);
    assert_eq!(snapshot.revision, Revision::new(51));
}

/// What cannot be is refused with the field that is wrong.
pub async fn invalid_values_are_named_by_their_field<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let check = async |change: Change, field: &str| {
        let before = world.store.snapshot(Scope::All).await.unwrap();
        match world.commit_as(Principal::System, [change]).await {
            Err(StoreError::Invalid { invalid, .. }) => assert_eq!(invalid.field, field),
            other => panic!("{field}: {other:?}"),
        }
        assert_eq!(world.store.snapshot(Scope::All).await.unwrap(), before);
    };
    let mut ids = crate::id::Ids::seeded(99);
    let now = world.clock.now();
    check(Change::create(ids.next(now), world.team, release(world.app, 0)), "number").await;
    check(Change::update(world.release, release(world.app, 2)), "release").await;
    let mut empty = release(world.app, 2);
    empty.processes.values_mut().for_each(|process| process.command.clear());
    check(Change::create(ids.next(now), world.team, empty), "processes.web.command").await;
    let mut unnumbered = world.job(1);
    Arc::make_mut(&mut unnumbered.workload).release = 0;
    check(Change::create(ids.next(now), world.team, unnumbered), "workload.release").await;
    let scale = Scale::of(Scale::MOST + 1, Resources::ZERO);
    let processes = [(crate::conformance::world::process("web"), scale)].into();
    let id: FormationId = ids.next(now);
    check(Change::create(id, world.team, Formation { app: world.app, processes }), "processes.web.count").await;
    let placement = Placement { most_per_node: Some(0), ..Placement::ANY };
    let scale = Scale { placement, ..Scale::of(1, Scale::RESOURCES) };
    let processes = [(crate::conformance::world::process("web"), scale)].into();
    let formation = Formation { app: world.app, processes };
    check(Change::create(id, world.team, formation), "processes.web.placement.most_per_node").await;
    let nobody = world.id::<crate::noun::Job>();
    let mut placed = world.job(1);
    placed.node = Some(world.node);
    let refused = world.commit_as(Principal::System, [Change::create(nobody, world.team, placed)]).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    let elsewhere: TeamId = world.id();
    let refused = world.commit_as(Principal::System, [Change::create(world.id(), elsewhere, app("x"))]).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
}

/// The states of a job follow each other and never go back.
pub async fn a_job_lives_in_one_direction<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id = world.create_job(1).await;
    let refused = world.commit_as(Principal::System, [Change::remove(id)]).await;
    assert!(refused.is_ok(), "a pending job can be removed: {refused:?}");
    let id = world.create_job(1).await;
    world.place(id).await.unwrap();
    let up = JobState::Up { address: None, health: Health::Healthy };
    let ill = JobState::Up { address: None, health: Health::Unhealthy };
    let exited = JobState::Exited(Exit::Code(0));
    let refuse = async |state: JobState| {
        let refused = world.commit_as(Principal::System, [in_state(id, state)]).await;
        assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    };
    refuse(JobState::default()).await;
    for state in [JobState::Starting, up.clone(), ill, up, JobState::Stopping] {
        world.commit([in_state(id, state)]).await;
    }
    refuse(JobState::Starting).await;
    let refused = world.commit_as(Principal::System, [Change::remove(id)]).await;
    assert!(matches!(refused, Err(StoreError::Invalid { .. })), "{refused:?}");
    world.commit([in_state(id, exited)]).await;
    refuse(JobState::Lost { reason: "late".into() }).await;
    refuse(JobState::Exited(Exit::Code(1))).await;
    world.commit([Change::remove(id)]).await;
}

/// Removing and creating anew in one batch would go around all that may not change.
pub async fn an_object_is_not_replaced_under_its_id<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id = world.create_app("old").await;
    let replaced = [Change::remove(id), Change::create(id, world.team, app("new"))];
    let refused = world.commit_as(Principal::System, replaced).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::Exists(_), .. })), "{refused:?}");
}
