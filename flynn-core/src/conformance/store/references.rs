//! What objects need is there, and stays.

use crate::change::Change;
use crate::conformance::world::{app, release, route};
use crate::conformance::{StoreHarness, World};
use crate::error::{Conflict, StoreError};
use crate::name::TeamName;
use crate::noun::{App, AppId, AppLifecycle, Job, ReleaseId, RouteId, Team, TeamId};
use crate::rule::Principal;

/// Nothing can hang from what does not exist.
pub async fn what_is_referred_to_must_be_there<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (ghost, id): (AppId, ReleaseId) = (world.id(), world.id());
    let refused = world.commit_as(Principal::System, [Change::create(id, world.team, release(ghost, 1))]).await;
    assert!(matches!(refused, Err(StoreError::NotFound { id: missing, .. }) if missing == ghost.into()), "{refused:?}");
}

/// What something hangs from cannot be removed, and the refusal names what needs it.
pub async fn what_is_needed_stays<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    match world.commit_as(Principal::System, [Change::remove(world.app)]).await {
        Err(StoreError::Conflict { conflict: Conflict::InUse { id, by }, .. }) => {
            assert_eq!((id, by), (world.app.into(), world.release.into()));
        }
        other => panic!("{other:?}"),
    }
    let job = world.create_job(1).await;
    world.place(job).await.unwrap();
    for needed in [Change::remove(world.release), Change::remove(world.node)] {
        let refused = world.commit_as(Principal::System, [needed]).await;
        assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::InUse { .. }, .. })), "{refused:?}");
    }
    let other = world.create_app("other").await;
    world.commit([Change::remove(other)]).await;
    let (other, id): (AppId, ReleaseId) = (world.create_app("other").await, world.id());
    world.commit([Change::create(id, world.team, release(other, 1))]).await;
    // An app can go together with all that hangs from it.
    world.commit([Change::remove(other), Change::remove(id)]).await;
}

/// A team cannot hang something from the app of another.
pub async fn a_reference_stays_within_its_team<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let (blue, id): (TeamId, RouteId) = (world.id(), world.id());
    world.commit([Change::create(blue, TeamId::SYSTEM, Team { name: TeamName::new("blue").unwrap() })]).await;
    let refused = world.commit_as(Principal::System, [Change::create(id, blue, route(world.app, "a.example"))]).await;
    match refused {
        Err(StoreError::Invalid { invalid, .. }) => assert_eq!(invalid.field, "team"),
        other => panic!("{other:?}"),
    }
}

/// A job cannot run the release of another app.
pub async fn a_reference_stays_within_its_app<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let other = world.create_app("other").await;
    let id = world.id();
    let stray = Job { app: other, ..world.job(1) };
    match world.commit_as(Principal::System, [Change::create(id, world.team, stray)]).await {
        Err(StoreError::Invalid { invalid, .. }) => assert_eq!(invalid.field, "app"),
        other => panic!("{other:?}"),
    }
}

/// A team is there as long as it owns anything.
pub async fn a_team_with_apps_stays<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let blue: TeamId = world.id();
    let id: AppId = world.id();
    world
        .commit([
            Change::create(blue, TeamId::SYSTEM, Team { name: TeamName::new("blue").unwrap() }),
            Change::create(id, blue, app("blue-app")),
        ])
        .await;
    let refused = world.commit_as(Principal::System, [Change::remove(blue)]).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::InUse { .. }, .. })), "{refused:?}");
    world.commit([Change::remove(id)]).await;
    world.commit([Change::remove(blue)]).await;
}

/// Nothing is hung from an app that is being destroyed; what hangs from it can still change and go.
pub async fn an_app_that_is_destroyed_gets_nothing_more<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let job = world.create_job(1).await;
    let app = world.get(world.app).await.unwrap();
    let doomed = App { lifecycle: AppLifecycle::Destroying, ..app.spec.clone() };
    world.commit([Change::update(world.app, doomed)]).await;
    let id: ReleaseId = world.id();
    match world.commit_as(Principal::System, [Change::create(id, world.team, release(world.app, 2))]).await {
        Err(StoreError::Invalid { invalid, .. }) => assert_eq!(invalid.field, "app"),
        other => panic!("{other:?}"),
    }
    world.place(job).await.unwrap();
}
