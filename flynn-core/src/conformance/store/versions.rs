//! Spec and status are versioned apart, and writers can insist on what they read.

use crate::change::{Batch, Change, Expectation};
use crate::conformance::world::app;
use crate::conformance::{StoreHarness, World};
use crate::error::{Conflict, StoreError};
use crate::noun::{AppId, AppStatus};
use crate::port::Store;
use crate::revision::Revision;
use crate::rule::Principal;

/// A change of the one half leaves the version of the other as it is.
pub async fn spec_and_status_have_versions_of_their_own<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: AppId = world.id();
    let created = world.commit([Change::create(id, world.team, app("new"))]).await.revision;
    let versions = async || {
        let stored = world.get(id).await.unwrap();
        (stored.spec_version, stored.status_version)
    };
    assert_eq!(versions().await, (created, created));
    let reported = world.commit([Change::report(id, AppStatus { release: Some(world.release) })]).await.revision;
    assert_eq!(versions().await, (created, reported));
    let updated = world.commit([Change::update(id, app("newer"))]).await.revision;
    assert_eq!(versions().await, (updated, reported));
}

/// Of two writers that read the same version, the second is refused; one that writes the other half is not.
pub async fn expectations_on_versions_hold<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id = world.app.into();
    let read = world.get(world.app).await.unwrap();
    let rename = |name: &str| {
        Batch::new(Principal::System)
            .expecting(Expectation::Spec(id, read.spec_version))
            .with(Change::update(world.app, app(name)))
    };
    let report = |release| {
        Batch::new(Principal::System)
            .expecting(Expectation::Status(id, read.status_version))
            .with(Change::report(world.app, AppStatus { release }))
    };
    world.store.commit(rename("first")).await.unwrap();
    let refused = world.store.commit(rename("second")).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::SpecVersion { .. }, .. })), "{refused:?}");
    world.store.commit(report(Some(world.release))).await.unwrap();
    let refused = world.store.commit(report(None)).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { conflict: Conflict::StatusVersion { .. }, .. })),
        "{refused:?}"
    );
    assert_eq!(world.get(world.app).await.unwrap().spec.name.as_str(), "first");
}

/// A writer can insist that something is there, or is not.
pub async fn expectations_on_existence_hold<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let id: AppId = world.id();
    let check = async |expectation: Expectation| {
        world.store.commit(Batch::new(Principal::System).expecting(expectation)).await.map(|_| ())
    };
    assert!(matches!(check(Expectation::Exists(id.into())).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(check(Expectation::Spec(id.into(), Revision::ZERO)).await, Err(StoreError::NotFound { .. })));
    check(Expectation::Absent(id.into())).await.unwrap();
    check(Expectation::Exists(world.app.into())).await.unwrap();
    let refused = check(Expectation::Absent(world.app.into())).await;
    assert!(matches!(refused, Err(StoreError::Conflict { conflict: Conflict::Exists(_), .. })), "{refused:?}");
}

/// The refusal tells the version that is there, so that a writer knows how stale it was.
pub async fn a_failed_expectation_says_what_it_found<H: StoreHarness>(harness: &H) {
    let world = World::new(harness).await;
    let read = world.get(world.app).await.unwrap();
    let wrong = Revision::new(777);
    let batch = Batch::new(Principal::System).expecting(Expectation::Spec(world.app.into(), wrong));
    match world.store.commit(batch).await {
        Err(StoreError::Conflict { conflict: Conflict::SpecVersion { id, expected, actual }, .. }) => {
            assert_eq!((id, expected, actual), (world.app.into(), wrong, read.spec_version));
        }
        other => panic!("{other:?}"),
    }
}
